"""What the agents write to the journal: one line an event, the student named.

Anything in a line may have been named by a student. Control characters are escaped here, in one place, so that
no file name can end a line, begin a forged one or drive a terminal.
"""

import logging
import sys
from typing import TextIO

from watcher_agents.identity import Student


class LineFormatter(logging.Formatter):
    """`time - LEVEL - workspace - module - message`, always one line; a dash where no student is concerned."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s - %(levelname)s - %(workspace)s - %(module_name)s - %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one printable line; a traceback follows it, each of its lines escaped too."""
        record.workspace = getattr(record, "workspace", "-")
        record.module_name = record.name.rpartition("watcher_agents.")[2]
        text = super().format(record)
        lines = text.split("\n") if record.exc_info else [text]
        return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    r"""The text with every character that is not printable written as an escape (`\n`, `\x1b`, `\udcff`)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def about(student: Student) -> dict[str, str]:
    """The `extra` of a log call that concerns this student."""
    return {"workspace": student.workspace}


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logging to `stream` (standard error, which systemd hands to the journal) from `level` on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # One line an event is ours; the HTTP library would add one a request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
