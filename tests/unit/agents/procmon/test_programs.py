"""Starts and ends are joined to runs, whatever comes in between or not at all."""

from datetime import timedelta

import pytest

from watcher_agents.identity import Student
from watcher_agents.procmon.clock import TICK_NS, BootClock
from watcher_agents.procmon.probe.records import Exit
from watcher_agents.procmon.program_run import Classification, Program, ProgramRun, Reportable, Reported
from watcher_agents.procmon.programs import ProgramTable

START = 1000 * TICK_NS
STUDENT = Student("os-1", 1, "os-1-1")


def program(
    pid: int = 7, name: str = "a.out", *, start: int = START, at: int | None = None, student: Student = STUDENT
) -> Reportable:
    boottime = start + 5_000_000 if at is None else at
    return (
        Program(
            hostname="jcode-os-1-1",
            student=student,
            hostname_forged=False,
            pid=pid,
            start_boottime=start,
            boottime=boottime,
            binary_path=f"/workspace/os-1-1/hw1/{name}",
            argv=(name,),
            argv_truncated=False,
            cwd="/workspace/os-1-1/hw1",
            already_running=False,
        ),
        Classification("run", "binary", "hw1", f"/workspace/os-1-1/hw1/{name}"),
    )


def begin(table: ProgramTable, reportable: Reportable) -> Reported | None:
    begun = reportable[0]
    return table.begin(begun.pid, begun.start_boottime, begun.boottime, reportable)


def ended(reportable: Reportable, status: int = 0, *, image: int | None = None) -> Exit:
    begun = reportable[0]
    image_boottime = begun.boottime if image is None else image
    return Exit(begun.pid, begun.start_boottime, begun.boottime + 2_000_000, image_boottime, status)


def run_of(reported: Reported | None) -> ProgramRun:
    assert reported is not None
    return reported[0]


@pytest.fixture
def table() -> ProgramTable:
    return ProgramTable(BootClock())


def test_start_and_end_make_a_run(table: ProgramTable) -> None:
    """All that was known at the start, and how it ended."""
    begun = program()
    assert begin(table, begun) is None
    reported = table.end(ended(begun, 0x0300))
    run = run_of(reported)
    assert reported is not None
    assert reported[1] == begun[1]
    assert (run.exit_code, run.signal, run.core_dumped, run.replaced_by_exec) == (3, None, False, False)
    assert run.ended_at - run.started_at == timedelta(milliseconds=2)
    assert (run.pid, run.argv, run.cwd, run.started_boottime) == (7, ("a.out",), begun[0].cwd, begun[0].boottime)
    assert len(table) == 0


def test_end_is_told_once(table: ProgramTable) -> None:
    """A second end of the same process is an end without a start."""
    begun = program()
    begin(table, begun)
    assert table.end(ended(begun)) is not None
    assert table.end(ended(begun)) is None
    assert table.exits_without_exec == 1


def test_exec_ends_the_program_before_it(table: ProgramTable) -> None:
    """The earlier program has neither exit code nor signal; the end is the later one's."""
    first = program(name="first")
    second = program(name="second", at=START + 9_000_000)
    begin(table, first)
    replaced = run_of(begin(table, second))
    assert (replaced.argv, replaced.replaced_by_exec) == (("first",), True)
    assert (replaced.exit_code, replaced.signal) == (None, None)
    assert replaced.ended_at - replaced.started_at == timedelta(milliseconds=4)
    last = run_of(table.end(ended(second, 9)))
    assert (last.argv, last.signal, last.replaced_by_exec) == (("second",), 9, False)


def test_what_does_not_matter_replaces_and_is_replaced_in_silence(table: ProgramTable) -> None:
    """A shell's start and end are taken note of and not told."""
    assert table.begin(7, START, START + 1, None) is None
    begun = program()
    assert begin(table, begun) is None
    assert run_of(table.begin(7, START, START + 20_000_000, None)).replaced_by_exec
    assert table.end(Exit(7, START, START + 30_000_000, START + 20_000_000, 0)) is None
    assert (table.exits_without_exec, table.ends_unseen, len(table)) == (0, 0, 0)


def test_pid_used_again_is_another_process(table: ProgramTable) -> None:
    """An end is believed only with the start time; a new process shows that the old one's end is lost."""
    old = program()
    begin(table, old)
    new = program(start=START + 5 * TICK_NS)
    assert table.end(ended(new)) is None
    assert table.exits_without_exec == 1
    assert begin(table, new) is None
    assert table.ends_unseen == 1
    assert run_of(table.end(ended(new))).started_boottime == new[0].boottime


def test_end_after_a_lost_exec_is_not_the_earlier_programs(table: ProgramTable) -> None:
    """Where the last exec's record was lost, the known program was replaced: the status is not its own."""
    begun = program()
    begin(table, begun)
    run = run_of(table.end(ended(begun, 0x0100, image=begun[0].boottime + 1_000_000)))
    assert (run.replaced_by_exec, run.exit_code) == (True, None)
    assert run.ended_at - run.started_at == timedelta(milliseconds=1)
    assert table.exits_without_exec == 1


def test_adopted_process_ends_like_another(table: ProgramTable) -> None:
    """Its start is known in clock ticks, the kernel tells its end to the nanosecond."""
    found = program(at=START)
    assert table.adopt(7, START, found) is None
    run = run_of(table.end(Exit(7, START + TICK_NS - 1, START + 7_000_000, 0, 0x0200)))
    assert (run.exit_code, run.pid) == (2, 7)


def test_adopted_process_that_has_called_exec_meanwhile(table: ProgramTable) -> None:
    """Told of after its exec was: what was found has been replaced, what replaced it goes on."""
    later = program(name="later")
    begin(table, later)
    assert run_of(table.adopt(7, START, program(name="found", at=START))).argv == ("found",)
    assert run_of(table.end(ended(later))).argv == ("later",)


def test_adopted_twice_is_one(table: ProgramTable) -> None:
    """A process that was found again is the same one."""
    table.adopt(7, START, program(at=START))
    assert table.adopt(7, START, program(at=START)) is None
    assert len(table) == 1


def test_dropped_process_is_counted(table: ProgramTable) -> None:
    """What was given up is no longer held, and only if it is that very process."""
    table.adopt(7, START, program(at=START))
    table.drop(7, START + TICK_NS)
    assert len(table) == 1
    table.drop(7, START)
    assert (len(table), table.ends_unseen) == (0, 1)


def test_sweep_gives_up_what_is_missing_twice(table: ProgramTable) -> None:
    """The first time the end may be on its way; live processes stay, a pid used again is no life."""
    begin(table, program(1))
    begin(table, program(2))
    begin(table, program(3))
    starts = {2: START, 3: START + 100 * TICK_NS}
    table.sweep(starts.get)
    assert len(table) == 3
    assert run_of(table.end(ended(program(3)))).pid == 3
    table.sweep(starts.get)
    assert (len(table), table.ends_unseen) == (1, 1)
    assert run_of(table.end(ended(program(2)))).pid == 2


def test_memory_is_bounded_and_who_holds_most_pays() -> None:
    """Past the limit the student who holds most gives up the oldest; another's program is told."""
    weight = program()[0].weight
    table = ProgramTable(BootClock(), byte_limit=10 * weight)
    quiet = program(1, student=Student("os-1", 2, "os-1-2"))
    begin(table, quiet)
    for pid in range(2, 30):
        begin(table, program(pid))
    assert len(table) <= 10
    assert table.evicted == 29 - len(table)
    assert run_of(table.end(ended(quiet))).pid == 1
    assert run_of(table.end(ended(program(29)))).pid == 29
    assert table.end(ended(program(2))) is None


def test_number_of_processes_is_bounded() -> None:
    """Also of those that do not matter, whose ends may be lost."""
    table = ProgramTable(BootClock(), process_limit=5)
    for pid in range(1, 100):
        table.begin(pid, START, START, None)
    assert (len(table), table.evicted) == (5, 0)
