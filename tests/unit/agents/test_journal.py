"""Log lines: one event, one line, whatever a student called the file."""

import io
import logging

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
