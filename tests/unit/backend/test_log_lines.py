"""Log lines: one line an entry, the access line in the guide's form."""

import logging

from watcher_backend.log_lines import AccessLineFormatter, LineFormatter


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, message, arguments, None)


def test_a_name_from_outside_cannot_begin_a_line_of_its_own() -> None:
    line = LineFormatter().format(record("filename=%s", "a.c\nINFO: forged\x1b[2J"))
    assert line == "INFO: filename=a.c\\nINFO: forged\\x1b[2J"


def test_an_access_line_has_the_guides_form() -> None:
    entry = record(
        '%s - "%s %s HTTP/%s" %d',
        "10.0.0.7:51234",
        "POST",
        "/api/test-1/hw1/202012180/hello.c/20250730_061753.c",
        "1.1",
        200,
    )
    assert AccessLineFormatter().format(entry) == (
        'INFO: 10.0.0.7:51234 - "POST /api/test-1/hw1/202012180/hello.c/20250730_061753.c HTTP/1.1" 200 OK'
    )


def test_an_exceptions_trace_follows_its_line() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        entry = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (KeyError, error, error.__traceback__))
    lines = LineFormatter().format(entry).splitlines()
    assert lines[0] == "ERROR: failed"
    assert lines[-1] == "KeyError: 'x'"
