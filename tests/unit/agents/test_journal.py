"""Log lines: one event, one line, whatever a student called the file."""

import io
import logging
import os
from pathlib import Path

import pytest

from watcher_agents import journal
from watcher_agents.identity import Student

LOGGER = logging.getLogger("watcher_agents.filemon.capture.test")


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(journal.LineFormatter())
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel("INFO")
    return stream


def test_a_line_names_the_student_and_the_module(lines: io.StringIO) -> None:
    student = Student("os-1", 202012180, "os-1-202012180")
    LOGGER.info("event", extra=journal.about(student))
    assert lines.getvalue().endswith(" - INFO - os-1-202012180 - filemon.capture.test - event\n")


def test_a_hostile_name_cannot_end_a_line_or_drive_a_terminal(lines: io.StringIO) -> None:
    LOGGER.info("path=%s", "a\n2026 - INFO - forged\x1b[2J\udcff")
    assert lines.getvalue().count("\n") == 1
    assert r"a\n2026 - INFO - forged\x1b[2J\udcff" in lines.getvalue()


def test_a_traceback_keeps_its_lines_and_its_message_cannot_forge_one(lines: io.StringIO) -> None:
    try:
        raise ValueError("one\rtwo")
    except ValueError:
        LOGGER.error("failed", exc_info=True)
    assert "Traceback" in lines.getvalue()
    assert r"ValueError: one\rtwo" in lines.getvalue()


def record(text: str, **known: str | None) -> logging.LogRecord:
    made = logging.LogRecord(
        "watcher_agents.filemon.capture", logging.ERROR, "/opt/x.py", 12, text, (), None, "_go"
    )
    made.__dict__.update(known)
    return made


def test_an_entrys_fields_are_all_that_is_known_of_the_event() -> None:
    """The student's id is as the workspace has it, leading zeros too."""
    assert journal.journal_fields(record("x", **journal.about_work("os-1-007", "hw1", "a1"))) == {
        "PRIORITY": 3,
        "CODE_FILE": "/opt/x.py",
        "CODE_LINE": 12,
        "CODE_FUNC": "_go",
        "WORKSPACE": "os-1-007",
        "CLASS_DIV": "os-1",
        "STUDENT_ID": "007",
        "HW_NAME": "hw1",
        "EVENT_ID": "a1",
    }


def test_what_is_not_known_has_no_field() -> None:
    assert set(journal.journal_fields(record("x"))) == {"PRIORITY", "CODE_FILE", "CODE_LINE", "CODE_FUNC"}
    student = Student("os-1", 7, "os-1-007")
    assert "HW_NAME" not in journal.journal_fields(record("x", **journal.about(student)))


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)],
)
def test_a_level_is_a_priority_of_syslog(level: int, priority: int) -> None:
    entry = record("x")
    entry.levelno = level
    assert journal.journal_fields(entry)["PRIORITY"] == priority


def test_a_hostile_name_cannot_forge_a_field() -> None:
    fields = journal.journal_fields(record("x", **journal.about_work("os-1-7", "hw1\nSTUDENT_ID=8")))
    assert fields["HW_NAME"] == r"hw1\nSTUDENT_ID=8"


def test_the_journal_is_known_by_device_and_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stream").open("w") as stream:
        state = os.fstat(stream.fileno())
        for named, expected in (
            (f"{state.st_dev}:{state.st_ino}", True),
            (f"{state.st_dev}:{state.st_ino + 1}", False),
            (f"{state.st_dev + 1}:{state.st_ino}", False),
            ("", False),
        ):
            monkeypatch.setenv("JOURNAL_STREAM", named)
            assert journal.is_journal(stream) is expected
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert not journal.is_journal(io.StringIO())
