"""How a program ended is told as wait(2) tells it."""

import shutil
from pathlib import Path

import pytest

from integration.procmon.student_pod import Observer, Pod, Recorder


def place(testers: Path, name: str, pod: Pod, as_name: str) -> None:
    """Copies a tester into hw1, so that it is a program of the student's."""
    shutil.copy(testers / name, pod.hw1 / as_name)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_code_is_what_the_program_passed_to_exit(
    pod: Pod, testers: Path, recorder: Recorder, code: int
) -> None:
    """An exit code arrives whole, 255 too, and no signal with it."""
    place(testers, "exit_with", pod, "a.out")
    assert pod.run(f"./a.out {code}") == code
    run, classification = recorder.one("a.out")
    assert (run.exit_code, run.signal, run.core_dumped) == (code, None, False)
    assert (classification.type, classification.process_type) == ("run", "binary")


@pytest.mark.parametrize("number", [2, 9, 11, 15])
def test_death_by_signal_has_the_signal_and_no_exit_code(
    pod: Pod, testers: Path, recorder: Recorder, number: int
) -> None:
    """A program that a signal ended is never told as one that exited with 0."""
    place(testers, "die_by", pod, "dying")
    pod.run(f"ulimit -c 0; ./dying {number}; true")
    run, _ = recorder.one("dying")
    assert (run.exit_code, run.signal, run.core_dumped) == (None, number, False)


def test_core_dump_is_flagged(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """A death that left a core says so."""
    place(testers, "die_by", pod, "dumping")
    pod.run("ulimit -c unlimited; ./dumping 6; true")
    run, _ = recorder.one("dumping")
    assert (run.signal, run.core_dumped) == (6, True)


def test_leader_that_ends_first_does_not_end_the_process(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """The status is that of the whole group, told when its last thread has ended."""
    place(testers, "leader_exits_first", pod, "outlived")
    assert pod.run("./outlived") == 7
    run, _ = recorder.one("outlived")
    assert run.exit_code == 7
    assert (run.ended_at - run.started_at).total_seconds() > 0.25


def test_without_exit_group_the_status_is_the_parents(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """Where each thread ends by itself, kernels differ in whose status counts: ours agrees with wait(2)."""
    place(testers, "leader_status", pod, "bare")
    status = pod.run("./bare")
    assert recorder.one("bare")[0].exit_code == status


def test_threads_that_end_at_once_are_one_end_with_the_parents_status(
    pod: Pod, testers: Path, recorder: Recorder
) -> None:
    """A hundred processes whose threads race to their end: each is told once, with its status by wait(2)."""
    place(testers, "many_threads_race", pod, "race")
    place(testers, "exit_with", pod, "after")
    assert pod.run("for i in $(seq 100); do ./race; echo $? >> statuses; done; ./after") == 0
    recorder.one("after")
    statuses = [int(status) for status in (pod.hw1 / "statuses").read_text().split()]
    assert len(statuses) == 100
    assert [run.exit_code for run, _ in recorder.runs("race")] == statuses


def test_failed_exec_is_no_program(pod: Pod, testers: Path, observer: Observer) -> None:
    """What could not be executed leaves no record; the shell's own status is the shell's."""
    (pod.hw1 / "not_a_program").write_bytes(b"\x7fELF but not really")
    (pod.hw1 / "not_a_program").chmod(0o755)
    place(testers, "exit_with", pod, "after")
    pod.run("./missing; ./not_a_program; ./after 4")
    (after,) = observer.execs("after")
    assert observer.exit_of(after).exit_code == 4
    assert observer.execs("missing") == observer.execs("not_a_program") == []
