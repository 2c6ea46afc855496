"""Finished programs on their way into the spool, in a thread that alone waits for the disk.

While the spool cannot be written (the disk is full, read-only or slow) they are held in memory, as many as there
is room for. What there is no room for is dropped, the oldest first, and declared.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

from watcher_agents.gaps import Gaps
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.identity import Student
from watcher_agents.procmon.program_run import Reported

_log = logging.getLogger(__name__)

HELD_PROGRAMS = 100_000
"""Hours of a full node's work."""
HELD_BYTES = 64 << 20
"""What the programs held may take of the memory that the service is allowed."""
RETRY_SECONDS = 5.0
_BATCH = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Write = Callable[[list[Reported]], None]
"""Puts programs into the spool, all or none. Raises sqlite3.Error."""


class ProgramSpooler:
    """Hands programs to `write`, in the thread that runs `run`, until it is told to `finish`.

    sqlite3.OperationalError is what SQLite says of a disk that is full, read-only, broken or busy: writing is
    tried again. Any other error of `write`'s, such as that of a damaged file, leaves `run`.
    """

    def __init__(
        self, write: Write, gaps: Gaps, *, held_programs: int = HELD_PROGRAMS, held_bytes: int = HELD_BYTES
    ) -> None:
        self._write = write
        self._gaps = gaps
        self._held_programs = held_programs
        self._held_bytes = held_bytes
        self.heartbeat = Heartbeat()
        self._changed = threading.Condition()
        self._waiting: deque[Reported] = deque()
        self._writing: list[Reported] = []
        self._bytes = 0
        self._stopping = False
        self._failure: str | None = None
        self.dropped = 0
        """Programs for which there was no room."""

    def add(self, programs: Sequence[Reported]) -> None:
        """Take over finished programs; never waits for the disk."""
        dropped: list[Reported] = []
        with self._changed:
            self._waiting.extend(programs)
            self._bytes += sum(run.weight for run, _ in programs)
            while self._waiting and (
                len(self._waiting) + len(self._writing) > self._held_programs or self._bytes > self._held_bytes
            ):
                dropped.append(self._waiting.popleft())
                self._bytes -= dropped[-1][0].weight
            self.dropped += len(dropped)
            self._changed.notify()
        self._declare(dropped, "there was no room in memory to hold it")

    def run(self) -> None:
        """Write what comes, until `finish` was called and nothing waits, or what waits cannot be written."""
        while self._take():
            self.heartbeat.beat()
            try:
                self._write(self._writing)
            except sqlite3.OperationalError as error:
                if not self._hold(str(error)):
                    return
            else:
                self._let_go()

    def finish(self) -> None:
        """Tell `run` that nothing more comes."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def declare_rest(self) -> None:
        """Declare lost what could not be written; to be called when `run` has ended."""
        with self._changed:
            rest = [*self._writing, *self._waiting]
            self.dropped += len(rest)
        self._declare(rest, "it could not be written before the agent stopped")

    @property
    def held(self) -> int:
        """Programs that wait to be written."""
        with self._changed:
            return len(self._writing) + len(self._waiting)

    def oldest_ns(self) -> int | None:
        """When the oldest program that waits ended, ns since the epoch; None where none waits."""
        with self._changed:
            for reported in (*self._writing[:1], *self._waiting):
                return _nanoseconds(reported[0].ended_at)
            return None

    def problem(self) -> str | None:
        """Why nothing can be written at the moment, and what that has cost; None where it can."""
        failure = self._failure
        if failure is None:
            return None
        return (
            f"the spool cannot be written ({failure}): {self.held} programs held in memory, {self.dropped} dropped"
        )

    def _take(self) -> bool:
        """Wait until there is something to write; False where nothing comes any more."""
        self.heartbeat.rest()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            self._writing = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            return bool(self._writing)

    def _hold(self, failure: str) -> bool:
        """Put back what could not be written and wait before the next try; False where there shall be none."""
        self.heartbeat.rest()
        if self._failure is None:
            _log.error("the spool cannot be written, programs are held in memory: %s", failure)
        with self._changed:
            self._failure = failure
            self._waiting.extendleft(reversed(self._writing))
            self._writing = []
            if self._stopping:
                return False
            self._changed.wait_for(lambda: self._stopping, RETRY_SECONDS)
            return True

    def _let_go(self) -> None:
        with self._changed:
            self._bytes -= sum(run.weight for run, _ in self._writing)
            self._writing = []
            recovered, self._failure = self._failure is not None, None
        if recovered:
            _log.info("the spool can be written again, %d programs wait", self.held)

    def _declare(self, dropped: Sequence[Reported], why: str) -> None:
        by_student: dict[Student, list[int]] = {}
        for run, _ in dropped:
            by_student.setdefault(run.student, []).append(_nanoseconds(run.ended_at))
        for student, ends in by_student.items():
            self._gaps.declare(
                "spool_unwritable",
                started_ns=min(ends),
                ended_ns=max(ends),
                student=student,
                events_lost=len(ends),
                detail=f"{why}: {self._failure or 'the disk is slow'}",
            )


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
