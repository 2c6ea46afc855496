"""What the agents write to the journal: one line an event, the student named.

Anything in a line may have been named by a student. Control characters are escaped here, in one place, so that
no file name can end a line, begin a forged one or drive a terminal.
"""

import logging
import os
import sys
from typing import TextIO

from watcher_agents.identity import Student
from watcher_agents.settings import SettingError

_FIELDS = {
    "workspace": "WORKSPACE",
    "class_div": "CLASS_DIV",
    "student_id": "STUDENT_ID",
    "hw_name": "HW_NAME",
    "event_id": "EVENT_ID",
}
"""What a record may know about an event, and the journal's field for it (systemd.journal-fields(7))."""


class LineFormatter(logging.Formatter):
    """`time - LEVEL - workspace - module - message`, always one line; a dash where no student is concerned."""

    def __init__(
        self, form: str = "%(asctime)s - %(levelname)s - %(workspace)s - %(module_name)s - %(message)s"
    ) -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one printable line; a traceback follows it, each of its lines escaped too."""
        record.workspace = getattr(record, "workspace", "-")
        record.module_name = record.name.rpartition("watcher_agents.")[2]
        text = super().format(record)
        lines = text.split("\n") if record.exc_info else [text]
        return "\n".join(printable(line) for line in lines)


class JournalHandler(logging.Handler):
    """Writes to the journal with a field for each thing that is known, for `journalctl STUDENT_ID=...`.

    The journal has time and priority of its own, so the message is `workspace - module - message`.
    """

    def __init__(self, identifier: str) -> None:
        """`identifier` is what the journal shows as the program. Raises ImportError without systemd's library."""
        super().__init__()
        from systemd import journal

        self._send = journal.send
        self._identifier = identifier
        self.setFormatter(LineFormatter("%(workspace)s - %(module_name)s - %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._send(self.format(record), **journal_fields(record), SYSLOG_IDENTIFIER=self._identifier)
        except Exception:  # noqa: BLE001  # as every handler of the library does: to standard error
            self.handleError(record)


def journal_fields(record: logging.LogRecord) -> dict[str, str | int]:
    """A record's fields beside its message; values that a student chose are escaped as in a line."""
    fields: dict[str, str | int] = {
        "PRIORITY": _priority(record.levelno),
        "CODE_FILE": record.pathname,
        "CODE_LINE": record.lineno,
        "CODE_FUNC": record.funcName or "",
    }
    known = {field: getattr(record, name, None) for name, field in _FIELDS.items()}
    return fields | {field: printable(value) for field, value in known.items() if value and value != "-"}


def _priority(level: int) -> int:
    """A level of logging as one of syslog(3)."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= least:
            return priority
    return 7


def printable(text: str) -> str:
    r"""The text with every character that is not printable written as an escape (`\n`, `\x1b`, `\udcff`)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def about(student: Student, hw_name: str | None = None, event_id: str | None = None) -> dict[str, str | None]:
    """The `extra` of a log call that concerns this student, and where it is known the assignment and the event."""
    return about_work(student.workspace, hw_name, event_id)


def about_work(workspace: str, hw_name: str | None = None, event_id: str | None = None) -> dict[str, str | None]:
    """`about`, from the workspace's name; the student id is as that name has it, leading zeros too."""
    class_div, _, student_id = workspace.rpartition("-")
    return {
        "workspace": workspace,
        "class_div": class_div,
        "student_id": student_id,
        "hw_name": hw_name,
        "event_id": event_id,
    }


def configure(level: str, identifier: str = "", stream: TextIO = sys.stderr) -> None:
    """Send all logging from `level` on to the journal, where systemd connected `stream` with it, else to `stream`.

    Raises SettingError where it is the journal and systemd's library is missing.
    """
    handler: logging.Handler
    if is_journal(stream):
        try:
            handler = JournalHandler(identifier)
        except ImportError as error:
            raise SettingError(
                "JOURNAL_STREAM", os.environ["JOURNAL_STREAM"], f"python3-systemd on the node ({error})"
            ) from error
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # One line an event is ours; the HTTP library would add one a request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)


def is_journal(stream: TextIO) -> bool:
    """Whether systemd connected this stream with the journal: JOURNAL_STREAM names its device and inode."""
    named = os.environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        state = os.fstat(stream.fileno())
    except OSError:
        return False
    return named == f"{state.st_dev}:{state.st_ino}"
