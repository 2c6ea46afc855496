"""The capture's promises to its owner: nothing dies unnoticed, nothing is held for ever."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.procmon.student_pod import Observer, Pod, Recorder
from lab.waiting import wait_for
from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.program_run import Reported
from watcher_agents.procmon.rules import load_rules


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_owner_learns_that_a_thread_died(pod: Pod, testers: Path) -> None:
    """What on_programs raises ends the worker and reaches the owner; stop returns all the same."""

    def full(programs: list[Reported]) -> None:
        raise OSError(28, f"no space for {len(programs)}")

    recorder = Recorder()
    capture = recorder.capture(on_programs=full)
    shutil.copy(testers / "exit_with", pod.hw1 / "any")
    with capture:
        pod.run("./any")
        wait_for(lambda: bool(recorder.failures), "the failure told")
    (failure,) = recorder.failures
    assert isinstance(failure, OSError)
    assert failure.errno == 28


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_record_that_cannot_be_delivered_is_an_error(
    pod: Pod, testers: Path, make_observer: Callable[..., Observer]
) -> None:
    """An exception in the callback does not vanish in the C library between the kernel and us."""

    def refuse(raw: bytes) -> None:
        raise MemoryError(len(raw))

    observer = make_observer()
    observer.deliver = refuse
    pod.run("true")
    with pytest.raises(ProbeError, match="could not be taken over"):
        observer.probe.poll(1000)


def test_stop_hands_over_what_has_ended(pod: Pod, testers: Path) -> None:
    """What ended before stop is told before stop returns; the threads are gone."""
    recorder = Recorder()
    capture = recorder.capture()
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    threads = set(threading.enumerate())
    capture.start()
    pod.run("./burst 300 ./short 1")
    capture.stop()
    assert len(recorder.runs("short")) == 300
    assert set(threading.enumerate()) == threads
    counters = capture.counters()
    assert counters.reported == {"binary": 301}
    assert counters.seen >= 301
    assert (counters.queue_records, counters.queue_bytes) == (0, 0)
    assert capture.losses() == dict.fromkeys(capture.losses(), 0)


def test_queue_is_bounded_and_the_rest_is_counted(
    pod: Pod, testers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the worker is held up, records wait in bounded memory, and what finds no room there is counted."""
    monkeypatch.setattr("watcher_agents.procmon.capture._QUEUE_LIMIT_BYTES", 20_000)
    recorder = Recorder()
    go_on = threading.Event()

    def hold(programs: list[Reported]) -> None:
        go_on.wait()
        recorder.reported.extend(programs)

    capture = recorder.capture(on_programs=hold, ring_pages=4)
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    with capture:
        pod.run("./burst 1000 ./short 1")
        waiting = capture.counters().queue_bytes
        lost = capture.losses()["exec_ring_full"]
        go_on.set()
    assert 15_000 < waiting < 40_000
    assert 0 < lost < 1000
    assert len(recorder.runs("short")) > 0
    assert recorder.failures == []


def test_rules_can_be_exchanged(pod: Pod, testers: Path, tmp_path: Path) -> None:
    """New rules count for what begins after them, without a restart."""
    own = tmp_path / "procmon.yml"
    own.write_text("assignment: 'lab[0-9]'\nproject_directory: /home/coder/project\nbuilds: {}\nruns: {}\n")
    recorder = Recorder()
    capture = recorder.capture()
    (pod.workspace / "lab3").mkdir()
    for place in (pod.hw1 / "program", pod.workspace / "lab3" / "program"):
        shutil.copy(testers / "exit_with", place)
    with capture:
        pod.run("./program 1; ../lab3/program 2")
        recorder.one("program")
        capture.use_rules(load_rules(own))
        pod.run("./program 3; ../lab3/program 4")
    assert [(run.exit_code, kind.hw_name) for run, kind in recorder.reported] == [(1, "hw1"), (4, "lab3")]


def test_lost_ends_do_not_stay_in_memory(pod: Pod, testers: Path) -> None:
    """Programs whose end found no room in the ring buffer are given up and counted, none is held for ever."""
    recorder = Recorder()
    capture = recorder.capture(ring_pages=1)
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    with capture:
        for _ in range(20):
            pod.run("for i in 1 2 3 4 5 6 7 8; do ./burst 500 ./short 1 & done; wait")
            if capture.losses()["exit_ring_full"]:
                break
        wait_for(lambda: capture.counters().processes == 0, "the table is empty")
    losses = capture.losses()
    assert losses["exit_ring_full"] > 0
    assert recorder.failures == []
