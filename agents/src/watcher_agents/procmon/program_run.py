"""A student's program: as it began, as it ended, and what it counts as."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from watcher_agents.identity import Student

_ENTRY_BYTES = 1024


@dataclass(frozen=True)
class Program:
    """A program that a process has been executing since `boottime` (ns), or since before procmon was there.

    `start_boottime` is the process's; one that was already running counts its program's time from there.
    `hostname` is the process's; where it is forged it does not name `student`, whose pod it is.
    """

    hostname: str
    student: Student
    hostname_forged: bool
    pid: int
    start_boottime: int
    boottime: int
    binary_path: str
    argv: tuple[str, ...]
    argv_truncated: bool
    cwd: str
    already_running: bool

    @property
    def weight(self) -> int:
        """About the bytes that it takes in memory."""
        return _weight(self.argv, self.binary_path, self.cwd)


@dataclass(frozen=True)
class ProgramRun:
    """A program from its start to its end, in UTC.

    `exit_code` or `signal` is set, or neither where exec replaced the program. `started_boottime` (ns) never
    changes, while `started_at` depends on when the clock was set: with the boot id and the pid it names the run.
    """

    hostname: str
    student: Student
    hostname_forged: bool
    pid: int
    started_at: datetime
    ended_at: datetime
    binary_path: str
    argv: tuple[str, ...]
    argv_truncated: bool
    cwd: str
    exit_code: int | None
    signal: int | None
    core_dumped: bool
    replaced_by_exec: bool
    already_running: bool
    started_boottime: int

    @property
    def weight(self) -> int:
        """About the bytes that it takes in memory."""
        return _weight(self.argv, self.binary_path, self.cwd)


@dataclass(frozen=True)
class Classification:
    """What a program counts as: a build or a run, by which rule, in which assignment.

    `target_path` is the source that is compiled, the script that is run, or the program itself.
    """

    type: Literal["build", "run"]
    process_type: str
    hw_name: str
    target_path: str


Reportable = tuple[Program, Classification]
Reported = tuple[ProgramRun, Classification]


def _weight(argv: tuple[str, ...], *paths: str) -> int:
    return _ENTRY_BYTES + sum(map(len, argv)) + sum(map(len, paths)) + 64 * len(argv)
