"""A student who tries things: programs that run as the student's user in a workspace of that user's."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from lab.pod import STUDENT_UID
from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace

_PYTHON = "/usr/bin/python3"
_ARRIVAL_SECONDS = 120.0


class HostileStudent(RecordedWorkspace):
    """A workspace whose owner is not to be trusted."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        for directory in (self.directory, self.assignment):
            os.chown(directory, STUDENT_UID, STUDENT_UID)

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """As of any workspace, however many there are."""
        wanted = {"student_id": self.student_id, **filters}
        found = [
            event for event in self._stack.events() if all(event[name] == value for name, value in wanted.items())
        ]
        return sorted(found, key=lambda event: (str(event["occurred_at"]), int(event["sequence"])))

    def command(self, program: str) -> list[str]:
        """A Python program's command line; its working directory is the assignment."""
        return [_PYTHON, "-I", "-S", "-c", f"import fcntl, os, socket, sys, time\n{program}"]

    def run(self, program: str) -> str:
        """Run a Python program to its end as the student; what it wrote. AssertionError where it fails."""
        done = subprocess.run(
            self.command(program),
            cwd=self.assignment,
            user=STUDENT_UID,
            group=STUDENT_UID,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self, program: str, *, to_its_end: bool = False) -> Iterator[None]:
        """Run a Python program as the student meanwhile, and end it unless it is to come to its own end.

        It has to write "begun" once it is under way. AssertionError where it fails.
        """
        process = subprocess.Popen(
            self.command(program),
            cwd=self.assignment,
            user=STUDENT_UID,
            group=STUDENT_UID,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n", process.communicate()[1]
        try:
            yield
        finally:
            ended = process.poll()
            if not to_its_end:
                process.send_signal(signal.SIGTERM)
            errors = process.communicate()[1]
        assert ended in (None, 0), errors
        assert process.returncode == 0 or not to_its_end, errors


def files_holding(directory: Path, secret: bytes) -> list[Path]:
    """The files below a directory in which these bytes stand somewhere."""

    def holds(path: Path) -> bool:
        try:
            return secret in path.read_bytes()
        except FileNotFoundError:
            # An unfinished snapshot has got its name meanwhile.
            return False

    return [path for path in directory.rglob("*") if path.is_file() and holds(path)]


def places_of(stack: Stack, secret: bytes) -> list[Path]:
    """Where Watcher has these bytes: spool, snapshot volume, database, logs."""
    beside = [path for path in stack.directory.iterdir() if path.is_file() and secret in path.read_bytes()]
    return [
        *files_holding(stack.snapshots, secret),
        *files_holding(stack.directory / "state", secret),
        *(path for path in beside if path.suffix in {".db", ".db-wal", ".log"}),
    ]


def saves_are_recorded(student: RecordedWorkspace, name: str, rounds: int = 3) -> None:
    """AssertionError unless each of a student's saves, one after the other, becomes a version.

    However many of another's the snapshot volume gets before it: the spool is delivered oldest first.
    """
    for number in range(rounds):
        content = f"{name} {number}\n".encode()
        digest = sha256(content).hexdigest()
        (student.assignment / f"{name}.c").write_bytes(content)

        def is_there(digest: str = digest) -> bool:
            return any(event["sha256"] == digest for event in student.events())

        wait_for(is_there, f"{name}.c of {student.name} with {content!r}", _ARRIVAL_SECONDS)


def spool_is_empty(stack: Stack) -> None:
    """Wait until all that filemon has captured is delivered."""
    wait_for(
        lambda: (
            stack.metric("filemon", "watcher_files_waiting") == 0
            and stack.metric("filemon", "watcher_spool_events") == 0
        ),
        "filemon to have recorded and delivered everything",
        60.0,
    )
