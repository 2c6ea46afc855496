"""Joins the start of a program with its end.

A process runs one program after another (exec), each of which is a run of its own. Keyed by pid, and a pid is
believed only together with the process's start time: pids are used again.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from watcher_agents.procmon.clock import TICK_NS, BootClock
from watcher_agents.procmon.probe.records import Exit
from watcher_agents.procmon.program_run import ProgramRun, Reportable, Reported

# Twice what the probe follows at once, and the memory that what is known of the programs may take.
PROCESS_LIMIT = 65536
BYTE_LIMIT = 64 << 20


@dataclass
class _Process:
    """What is known of a live process. `image_boottime` is 0 where its program was there before procmon."""

    start_ticks: int
    image_boottime: int
    reportable: Reportable | None


class ProgramTable:
    """The processes of students' pods that live now, and the programs in them that will be reported.

    Bounded: past `byte_limit` the student who holds most gives up the oldest program, which is counted.
    """

    def __init__(
        self,
        clock: BootClock,
        *,
        process_limit: int = PROCESS_LIMIT,
        byte_limit: int = BYTE_LIMIT,
    ) -> None:
        self._clock = clock
        self._process_limit = process_limit
        self._byte_limit = byte_limit
        self._processes: dict[int, _Process] = {}
        self._bytes = 0
        self._held: Counter[str] = Counter()
        self._missing: set[int] = set()
        self.exits_without_exec = 0
        self.ends_unseen = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._processes)

    def begin(
        self, pid: int, start_boottime: int, boottime: int, reportable: Reportable | None
    ) -> Reported | None:
        """A process has put a program in place; `reportable` is None for one that does not matter, e.g. a shell.

        The program that it replaced, where that was reportable.
        """
        previous = self._remove(pid)
        replaced = None
        if previous is not None and previous.reportable is not None:
            if previous.start_ticks == start_boottime // TICK_NS:
                replaced = self._run(previous.reportable, boottime, None)
            else:
                self.ends_unseen += 1
        self._add(pid, _Process(start_boottime // TICK_NS, boottime, reportable))
        return replaced

    def adopt(self, pid: int, start_boottime: int, reportable: Reportable | None) -> Reported | None:
        """A process was found that had begun before procmon did.

        Where the process is known, it has called exec between being found and being told of: the program that was
        found has been replaced.
        """
        known = self._processes.get(pid)
        if known is None:
            self._add(pid, _Process(start_boottime // TICK_NS, 0, reportable))
            return None
        if reportable is None or known.start_ticks != start_boottime // TICK_NS or known.image_boottime == 0:
            return None
        return self._run(reportable, known.image_boottime, None)

    def end(self, exit_: Exit) -> Reported | None:
        """A process has ended: its program, where that was reportable."""
        process = self._processes.get(exit_.pid)
        if process is None or process.start_ticks != exit_.start_boottime // TICK_NS:
            self.exits_without_exec += 1
            return None
        self._remove(exit_.pid)
        if process.image_boottime == exit_.image_boottime:
            return None if process.reportable is None else self._run(process.reportable, exit_.boottime, exit_)
        # The record of its last exec was lost: the end is that of a program that is not known.
        self.exits_without_exec += 1
        return None if process.reportable is None else self._run(process.reportable, exit_.image_boottime, None)

    def drop(self, pid: int, start_boottime: int) -> None:
        """A process is gone and no exit will be told."""
        process = self._processes.get(pid)
        if process is not None and process.start_ticks == start_boottime // TICK_NS:
            self._forget_unseen(pid)

    def sweep(self, start_of: Callable[[int], int | None]) -> None:
        """Give up processes whose exit was lost: those that `start_of` does not know, at this and the last sweep.

        `start_of` gives the start (boot time, ns) of the live process with a pid, or None. Twice, because the
        record of an exit may still be on its way.
        """
        missing = {
            pid
            for pid, process in self._processes.items()
            if (start := start_of(pid)) is None or start // TICK_NS != process.start_ticks
        }
        for pid in missing & self._missing:
            self._forget_unseen(pid)
        self._missing = missing

    def _forget_unseen(self, pid: int) -> None:
        process = self._remove(pid)
        if process is not None and process.reportable is not None:
            self.ends_unseen += 1

    def _add(self, pid: int, process: _Process) -> None:
        self._processes[pid] = process
        if process.reportable is not None:
            program = process.reportable[0]
            self._bytes += program.weight
            self._held[program.student.workspace] += program.weight
        while self._bytes > self._byte_limit:
            self._evict(self._oldest_of_largest_student())
        while len(self._processes) > self._process_limit:
            # More than the probe follows at once: exits were lost, and the oldest are the likeliest to be gone.
            self._evict(next(iter(self._processes)))

    def _oldest_of_largest_student(self) -> int:
        workspace = max(self._held, key=self._held.__getitem__)
        return next(
            pid
            for pid, process in self._processes.items()
            if process.reportable is not None and process.reportable[0].student.workspace == workspace
        )

    def _evict(self, pid: int) -> None:
        process = self._remove(pid)
        if process is not None and process.reportable is not None:
            self.evicted += 1

    def _remove(self, pid: int) -> _Process | None:
        process = self._processes.pop(pid, None)
        self._missing.discard(pid)
        if process is not None and process.reportable is not None:
            program = process.reportable[0]
            self._bytes -= program.weight
            self._held[program.student.workspace] -= program.weight
            if not self._held[program.student.workspace]:
                del self._held[program.student.workspace]
        return process

    def _run(self, reportable: Reportable, end_boottime: int, exit_: Exit | None) -> Reported:
        """`exit_` is None where exec replaced the program."""
        program, classification = reportable
        started_at, ended_at = self._clock.utc(program.boottime, end_boottime)
        run = ProgramRun(
            hostname=program.hostname,
            student=program.student,
            hostname_forged=program.hostname_forged,
            pid=program.pid,
            started_at=started_at,
            ended_at=ended_at,
            binary_path=program.binary_path,
            argv=program.argv,
            argv_truncated=program.argv_truncated,
            cwd=program.cwd,
            exit_code=None if exit_ is None else exit_.exit_code,
            signal=None if exit_ is None else exit_.signal,
            core_dumped=exit_ is not None and exit_.core_dumped,
            replaced_by_exec=exit_ is None,
            already_running=program.already_running,
            started_boottime=program.boottime,
        )
        return run, classification
