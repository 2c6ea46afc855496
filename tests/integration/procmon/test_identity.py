"""Which process a record is about, and which program the process ran at the time."""

import shutil
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path

from integration.procmon.student_pod import HOSTNAME, Observer, Pod, Recorder, pids_of
from lab.waiting import wait_for
from watcher_agents.procmon.probe.records import Exec


def test_exec_from_a_thread_is_the_leaders(pod: Pod, testers: Path, observer: Observer) -> None:
    """A thread that calls exec takes over pid and start time: both programs are the same process's."""
    shutil.copy(testers / "exec_from_thread", pod.hw1 / "threaded")
    shutil.copy(testers / "exit_with", pod.hw1 / "successor")
    assert pod.run("./threaded ./successor 8") == 8
    (threaded,), (successor,) = observer.execs("threaded"), observer.execs("successor")
    assert (threaded.pid, threaded.start_boottime) == (successor.pid, successor.start_boottime)
    assert observer.exit_of(threaded).exit_code == 8
    assert observer.exit_of(threaded).image_boottime == successor.boottime


def test_exec_from_a_thread_replaces_the_program(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """The program that called exec is told as replaced, its successor with the exit code."""
    shutil.copy(testers / "exec_from_thread", pod.hw1 / "threaded")
    shutil.copy(testers / "exit_with", pod.hw1 / "successor")
    pod.run("./threaded ./successor 8")
    successor, _ = recorder.one("successor")
    threaded, _ = recorder.one("threaded")
    assert (threaded.replaced_by_exec, threaded.exit_code, threaded.signal) == (True, None, None)
    assert (successor.replaced_by_exec, successor.exit_code) == (False, 8)
    assert threaded.ended_at - successor.started_at < timedelta(microseconds=2)


def test_exec_chain_in_one_process_is_told_link_by_link(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """`sh -c 'exec python3 x.py'`: the shell does not count, python does, and what it becomes does."""
    shutil.copy(testers / "exit_with", pod.hw1 / "last")
    (pod.hw1 / "x.py").write_text("import os\nos.execv('./last', ['./last', '3'])\n")
    assert pod.run("sh -c 'exec /usr/bin/python3 x.py'") == 3
    last, _ = recorder.one("last")
    assert last.exit_code == 3
    (chain,) = [entry for entry in recorder.reported if entry[1].process_type == "python"]
    assert (chain[0].replaced_by_exec, chain[0].exit_code, chain[0].pid) == (True, None, last.pid)
    assert chain[1].target_path == str(pod.hw1 / "x.py")


def test_pid_is_the_nodes_and_times_are_utc(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """Pid and times are what an observer on the node reads, and start and end are in order."""
    shutil.copy(testers / "exit_with", pod.hw1 / "timed")
    before = datetime.now(timezone.utc)
    pod.run("./timed")
    run, _ = recorder.one("timed")
    after = datetime.now(timezone.utc)
    margin = timedelta(milliseconds=1)
    assert before - margin <= run.started_at < run.ended_at <= after + margin
    assert run.pid > 1
    assert run.hostname == HOSTNAME


def test_argv_zero_does_not_name_the_program(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """The executable is what ran; argv is what it was told, also where the two differ."""
    shutil.copy(testers / "exec_as", pod.hw1 / "disguise")
    shutil.copy(testers / "exit_with", pod.hw1 / "real")
    pod.run("./disguise ./real /usr/bin/innocent 1")
    run, classification = recorder.one("real")
    assert run.binary_path == classification.target_path == str(pod.hw1 / "real")
    assert run.argv == ("/usr/bin/innocent", "1")


def test_program_that_rewrites_its_argv_is_told_as_called(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """The arguments are those of the call, whatever the program writes over them."""
    shutil.copy(testers / "rewrite_argv", pod.hw1 / "hiding")
    pod.run("./hiding in the open")
    assert recorder.one("hiding")[0].argv == ("./hiding", "in", "the", "open")


def test_hostname_without_the_prefix_is_not_recorded(
    directory: Path, pod: Pod, testers: Path, observer: Observer
) -> None:
    """Other containers leave no record at all, though they run the same programs."""
    other = Pod(directory, hostname="database-0")
    shutil.copy(testers / "exit_with", pod.hw1 / "somebody")
    assert other.run("./somebody 1") == 1
    assert pod.run("./somebody 2") == 2
    (execution,) = observer.execs("somebody")
    assert execution.hostname == HOSTNAME
    assert "database-0" not in {record.hostname for record in observer.records() if isinstance(record, Exec)}


def test_process_older_than_the_probe_is_found_and_told_once(pod: Pod, testers: Path) -> None:
    """A program that ran before the capture did is told with its end, flagged, and only once."""
    shutil.copy(testers / "die_by", pod.hw1 / "older")
    shutil.copy(testers / "exit_with", pod.hw1 / "younger")
    script = "./older 18 --token hush & older=$!; until [ -e go ]; do sleep 0.05; done;"
    shell = pod.start(f"{script} ./younger 5; kill -TERM $older; wait $older; true")
    recorder = Recorder()
    try:
        wait_for(lambda: bool(pids_of(pod.hw1 / "older")), "the older program is running")
        (pid,) = pids_of(pod.hw1 / "older")
        capture = recorder.capture()
        with capture:
            wait_for(lambda: capture.counters().already_running > 0, "the older program is found")
            (pod.hw1 / "go").touch()
            older, classification = recorder.one("older")
            younger, _ = recorder.one("younger")
        assert shell.wait(timeout=30) == 0
    finally:
        shell.kill()
        shell.wait()
    assert (older.already_running, older.pid, older.signal) == (True, pid, signal.SIGTERM)
    assert older.argv == ("./older", "18", "--token", "[redacted]")
    assert older.cwd == str(pod.hw1)
    assert older.binary_path == classification.target_path == str(pod.hw1 / "older")
    assert (younger.already_running, younger.exit_code) == (False, 5)
    assert capture.losses()["not_followed"] == 0
    assert recorder.failures == []
