"""What is longer than the probe carries is flagged; what the kernel could not record is counted."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from integration.procmon.student_pod import Observer, Pod, Recorder
from watcher_agents.procmon.capture import ProcessCapture
from watcher_agents.procmon.probe.records import CUT, Exec, Exit


def test_argv_of_16_kib_arrives_whole(pod: Pod, testers: Path, observer: Observer) -> None:
    """Up to the limit nothing is cut and nothing is flagged."""
    shutil.copy(testers / "exit_with", pod.hw1 / "wide")
    longest = 16384 - len("./wide\0") - len("1\0") - 1
    pod.run(f"./wide 1 $(head -c {longest} /dev/zero | tr '\\0' a)")
    (execution,) = observer.execs("wide")
    assert execution.argv == ("./wide", "1", "a" * longest)
    assert not execution.truncated


def test_longer_argv_is_cut_and_flagged(pod: Pod, testers: Path, observer: Observer) -> None:
    """One byte more and it is flagged; what fits is there."""
    shutil.copy(testers / "exit_with", pod.hw1 / "wider")
    pod.run("./wider 1 $(head -c 100000 /dev/zero | tr '\\0' a)")
    (execution,) = observer.execs("wider")
    assert execution.truncated
    assert execution.argv == ("./wider", "1", "a" * (16384 - len("./wider\0001\0")))


def test_names_of_255_bytes_arrive_whole(pod: Pod, testers: Path, observer: Observer) -> None:
    """The longest names that a file system has, fifteen of them below each other."""
    shutil.copy(testers / "deep_run", pod.hw1 / "deep_run")
    shutil.copy(testers / "exit_with", pod.hw1 / "exit_with")
    assert pod.run(f"./deep_run 15 255 {pod.hw1}/exit_with 2") == 2
    (execution,) = observer.execs("exit_with")
    assert execution.cwd == str(pod.hw1) + ("/" + "d" * 255) * 15
    assert not execution.truncated


def test_deep_directories_arrive_whole(pod: Pod, testers: Path, observer: Observer) -> None:
    """Two hundred levels, which no student needs, are told to the last."""
    shutil.copy(testers / "deep_run", pod.hw1 / "deep_run")
    shutil.copy(testers / "exit_with", pod.hw1 / "exit_with")
    assert pod.run(f"./deep_run 200 1 {pod.hw1}/exit_with 2") == 2
    (execution,) = observer.execs("exit_with")
    assert execution.cwd == str(pod.hw1) + "/d" * 200
    assert not execution.truncated


def test_deeper_than_the_probe_walks_is_flagged(pod: Pod, testers: Path, observer: Observer) -> None:
    """Beyond the limit the end of the path is told, marked as cut: it never passes for a path from the root."""
    shutil.copy(testers / "deep_run", pod.hw1 / "deep_run")
    shutil.copy(testers / "exit_with", pod.hw1 / "exit_with")
    assert pod.run(f"./deep_run 400 1 {pod.hw1}/exit_with 2") == 2
    (execution,) = observer.execs("exit_with")
    assert execution.cwd == CUT + "/d" * 256
    assert execution.truncated
    assert execution.binary_path == str(pod.hw1 / "exit_with")


def test_names_that_are_not_utf8_are_told(pod: Pod, testers: Path, observer: Observer) -> None:
    """A name of any bytes, a newline among them, becomes text that can be stored."""
    odd = pod.hw1 / "new\nline"
    odd.mkdir()
    shutil.copy(testers / "exit_with", odd / os.fsdecode(b"\xff\xfe"))
    pod.run("cd new*line && ./* 0 $(printf '\\377')")
    (execution,) = observer.execs("\\xff\\xfe")
    assert execution.cwd == str(odd)
    assert execution.argv == ("./\\xff\\xfe", "0", "\\xff")


def test_burst_loses_nothing(pod: Pod, testers: Path, capture: ProcessCapture, recorder: Recorder) -> None:
    """10,000 programs as fast as the machine runs them: each is told with its exit code, no loss is counted."""
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    before = capture.losses()
    assert pod.run_as_student("./burst 10000 ./short 6") == 0
    recorder.one("burst")
    runs = [run for run, _ in recorder.runs("short")]
    assert len(runs) == 10000
    assert {run.exit_code for run in runs} == {6}
    assert len({(run.pid, run.started_boottime) for run in runs}) == 10000
    assert capture.losses() == before


def test_what_found_no_room_is_counted(
    pod: Pod, testers: Path, observer: Observer, make_observer: Callable[..., Observer]
) -> None:
    """With a ring of one page that nobody empties, recorded + counted = done, starts and ends apart."""
    tiny = make_observer(ring_pages=1)
    shutil.copy(testers / "burst", pod.hw1 / "burst")
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    assert pod.run("exec ./burst 200 ./short 6") == 0
    (burst,) = observer.execs("burst")
    observer.exit_of(burst)
    losses = tiny.probe.losses()
    for kind, cause in ((Exec, "exec_ring_full"), (Exit, "exit_ring_full")):
        done = sum(isinstance(record, kind) for record in observer.records())
        told = sum(isinstance(record, kind) for record in tiny.records())
        assert losses[cause] > 0
        assert told + losses[cause] == done


def test_full_table_of_live_processes_is_counted(
    pod: Pod, testers: Path, observer: Observer, make_observer: Callable[..., Observer]
) -> None:
    """More processes at once than the probe follows: told + counted = done, and each that is told gets its end."""
    narrow = make_observer(live_entries=4)
    shutil.copy(testers / "die_by", pod.hw1 / "waiting")
    waiting = 'for i in 1 2 3 4 5 6 7 8; do ./waiting 18 & pids="$pids $!"; done'
    assert pod.run(f"{waiting}; sleep 0.5; kill -TERM $pids; wait") == 0
    done = sum(isinstance(record, Exec) for record in observer.records())
    told = [record for record in narrow.records() if isinstance(record, Exec)]
    full = narrow.probe.losses()["live_full"]
    assert full >= 4
    assert len(told) + full == done
    for execution in narrow.execs("waiting"):
        assert narrow.exit_of(execution).signal == 15
