"""What was run = what is recorded + what is declared lost."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from integration.procmon.spooled_events import gaps, runs
from integration.procmon.student_pod import Observer, Pod, Recorder
from lab.stack import Stack
from lab.waiting import wait_for


def test_what_a_tiny_ring_lost_is_declared(
    pod: Pod, testers: Path, make_observer: Callable[..., Observer]
) -> None:
    """Recorded + declared are at least all that ran, and at most that and what would not have been recorded."""
    # It is read at the end only, and on a busy machine several rounds are needed.
    observer = make_observer(ring_pages=8192)
    recorder = Recorder()
    capture = recorder.capture(ring_pages=1)
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    with capture:
        for _ in range(10):
            pod.run_as_student("for i in 1 2 3 4; do ./burst 250 ./short 1 & done; wait")
            if recorder.losses and capture.losses()["exit_ring_full"]:
                break
    programs = len(observer.execs("short")) + len(observer.execs("burst"))
    others = len([raw for raw in observer.drained() if raw[0] == 1]) - programs
    declared = sum(losses.programs for losses in recorder.losses)
    assert declared > 0
    assert programs <= len(recorder.reported) + declared <= programs + others
    assert len({(run.pid, run.started_boottime) for run, _ in recorder.reported}) == len(recorder.reported)
    first, last = recorder.losses[0], recorder.losses[-1]
    assert first.started_ns <= first.ended_ns <= last.ended_ns
    assert "exec_ring_full=" in str(last)
    assert observer.probe.losses() == dict.fromkeys(observer.probe.losses(), 0)
    assert recorder.failures == []


def test_nothing_lost_nothing_declared(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """Parts that could not be read are told in the record, and are no loss."""
    shutil.copy(testers / "exit_with", pod.hw1 / "odd")
    pod.run_as_student("./odd 1 $(head -c 100000 /dev/zero | tr '\\0' a)")
    assert recorder.one("odd")[0].argv_truncated
    assert recorder.losses == []


def test_agent_declares_what_it_slept_through(
    pod: Pod, testers: Path, make_observer: Callable[..., Observer]
) -> None:
    """Suspended while more runs than the ring has room for: spooled events + the gap's number are what ran."""
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    long_argument = "x" * 16000
    observer = make_observer(ring_pages=8192)
    with Stack() as stack:
        stack.start("procmon")
        os.kill(stack.pid("procmon"), signal.SIGSTOP)
        # The ring has 8 MiB and each record 16 KiB.
        assert pod.run_as_student(f"./burst 1000 ./short 0 {long_argument}") == 0
        os.kill(stack.pid("procmon"), signal.SIGCONT)
        wait_for(lambda: gaps(stack, "probe_loss"), "the gap to be spooled")
        stack.stop("procmon")
        lost = gaps(stack, "probe_loss")
        recorded = len(runs(stack, "short"))
    assert 300 < recorded < 1000
    assert all(gap["started_at"] < gap["occurred_at"] and "exec_ring_full=" in gap["detail"] for gap in lost)
    assert {gap["student_id"] for gap in lost} == {None}
    # burst, too, had no room for its end; and the kernel cannot tell what of the rest nobody would have recorded.
    assert observer.probe.losses()["exec_ring_full"] == 0
    others = len([raw for raw in observer.drained() if raw[0] == 1]) - 1000
    assert 1000 <= recorded + sum(gap["events_lost"] for gap in lost) <= 1000 + others
