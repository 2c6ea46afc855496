"""What the worker does with each record: decode, tell whose program it is, classify, redact, join with its end."""

from collections import Counter
from dataclasses import dataclass, replace

from watcher_agents.procmon.classify import classify
from watcher_agents.procmon.owners import Owner, Owners
from watcher_agents.procmon.probe.records import Exec, decode
from watcher_agents.procmon.program_run import Program, Reportable, Reported
from watcher_agents.procmon.programs import ProgramTable
from watcher_agents.procmon.redaction import redacted
from watcher_agents.procmon.rules import Rules
from watcher_agents.procmon.running import RunningProcess


@dataclass(frozen=True)
class Found:
    """A process that was there before the probe runs a program that will be reported."""

    pid: int
    start_boottime: int
    reportable: Reportable


@dataclass(frozen=True)
class Gone:
    """A process that was found had ended before the probe could follow it."""

    pid: int
    start_boottime: int


Item = bytes | Found | Gone


class ProgramIntake:
    """Turns what was observed into finished programs. `rules` may be exchanged at any time, from any thread.

    `seen` counts the programs begun in students' pods, `reported` the finished ones by process_type.
    """

    def __init__(self, owners: Owners, rules: Rules, table: ProgramTable) -> None:
        self.rules = rules
        self._owners = owners
        self._table = table
        self.seen = 0
        self.reported: Counter[str] = Counter()

    def take(self, item: Item) -> Reported | None:
        """The program that has ended by what `item` tells, where it is one to report.

        Raises RecordError for bytes that the probe did not write.
        """
        finished = self._finished(item)
        if finished is not None:
            self.reported[finished[1].process_type] += 1
        return finished

    def reportable(self, process: RunningProcess) -> Reportable | None:
        """What a process found in /proc will be reported as."""
        owner = self._owners.of_running(process)
        if owner is None:
            return None
        return self._classified(
            Program(
                hostname=process.hostname,
                student=owner.student,
                hostname_forged=owner.hostname_forged,
                pid=process.pid,
                start_boottime=process.start_boottime,
                boottime=process.start_boottime,
                binary_path=process.binary_path,
                argv=process.argv,
                argv_truncated=process.truncated,
                cwd=process.cwd,
                already_running=True,
            )
        )

    def _finished(self, item: Item) -> Reported | None:
        if isinstance(item, Found):
            return self._table.adopt(item.pid, item.start_boottime, item.reportable)
        if isinstance(item, Gone):
            self._table.drop(item.pid, item.start_boottime)
            return None
        record = decode(item)
        if isinstance(record, Exec):
            owner = self._owners.of_exec(record)
            self.seen += owner is not None
            reportable = None if owner is None else self._classified(_program(record, owner))
            return self._table.begin(record.pid, record.start_boottime, record.boottime, reportable)
        return self._table.end(record)

    def _classified(self, program: Program) -> Reportable | None:
        """Classified by the real arguments, kept without the secrets in them."""
        classification = classify(program, self.rules)
        if classification is None:
            return None
        return replace(program, argv=redacted(program.argv)), classification


def _program(record: Exec, owner: Owner) -> Program:
    return Program(
        hostname=record.hostname,
        student=owner.student,
        hostname_forged=owner.hostname_forged,
        pid=record.pid,
        start_boottime=record.start_boottime,
        boottime=record.boottime,
        binary_path=record.binary_path,
        argv=record.argv,
        argv_truncated=record.truncated,
        cwd=record.cwd,
        already_running=False,
    )
