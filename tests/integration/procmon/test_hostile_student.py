"""What a student may try against the agent, done for real, as the student."""

import re
import shutil
from pathlib import Path

import httpx

from integration.procmon.spooled_events import runs, state_of
from integration.procmon.student_pod import WORKSPACE, Pod, Recorder
from lab.stack import Stack
from lab.waiting import wait_for
from watcher_agents.identity import student_of_workspace
from watcher_agents.procmon.rules import BINARY, load_rules

OTHER_WORKSPACE = WORKSPACE.replace("os-1-7", "os-1-8")
OTHER_HOSTNAME = f"jcode-{OTHER_WORKSPACE}-866cbc896c-bbbbb"
_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [A-Z]+ - ")


def test_fork_bomb_does_not_hide_another_students_programs(pod: Pod, testers: Path, directory: Path) -> None:
    """While one student's processes multiply, each of another's programs is recorded."""
    recorder = Recorder(OTHER_WORKSPACE)
    capture = recorder.capture()
    other = Pod(directory, OTHER_HOSTNAME, OTHER_WORKSPACE)
    shutil.copy(testers / "fork_bomb", pod.hw1 / "fork_bomb")
    shutil.copy(testers / "exit_with", other.hw1 / "quiet")
    with capture:
        bomb = pod.start_as_student("ulimit -u 500; exec ./fork_bomb 3")
        try:
            wait_for(lambda: capture.counters().reported.get("binary", 0) > 100, "the bomb to go off")
            # As root: the bomb has used up what the student's user may have.
            assert other.run("for i in $(seq 30); do ./quiet $i; done") == 30
        finally:
            bomb.kill()
            bomb.wait()
        wait_for(lambda: len(recorder.runs("quiet")) == 30, "the other student's programs to be told")
    assert [run.exit_code for run, _ in recorder.runs("quiet")] == list(range(1, 31))
    assert {run.student for run, _ in recorder.runs("quiet")} == {student_of_workspace(OTHER_WORKSPACE)}
    assert recorder.failures == []


def test_pid_that_is_used_again_is_another_program(directory: Path, testers: Path, recorder: Recorder) -> None:
    """Programs that get the same pid one after the other are told each with its own exit code."""
    pod = Pod(directory, own_pids=False)
    shutil.copy(testers / "exit_with", pod.hw1 / "reused")
    wanted = "for i in $(seq 60); do echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid; ./reused $i; done"
    pod.run(f"pid=$((($(cat /proc/sys/kernel/ns_last_pid) + 3000) % 28000 + 2000)); {wanted}")
    wait_for(lambda: len(recorder.runs("reused")) == 60, "all to be told")
    told = [run for run, _ in recorder.runs("reused")]
    assert [run.exit_code for run in told] == list(range(1, 61))
    assert len({run.pid for run in told}) < 30
    assert len({(run.pid, run.started_boottime) for run in told}) == 60


def test_nothing_that_a_student_names_gets_into_the_log_as_it_is(pod: Pod, testers: Path) -> None:
    """Newlines, escape codes and bytes that are no text: a program stays one line, and no line is forged."""
    for tester in ("exit_with", "named"):
        shutil.copy(testers / tester, pod.hw1 / tester)
    evil = r"$'\n2026-11-24 00:00:00,000 - INFO - os-1-1 - forged\e[2J\e]0;title\a\r\377\u202e'"
    odd = pod.hw1 / "a\n\x1b[31mb"
    shutil.copy(testers / "exit_with", odd)
    with Stack(WATCHER_LOG_LEVEL="DEBUG") as stack:
        stack.start("procmon")
        pod.run_as_student(
            f"./exit_with 1 {evil}; $'./a\\n\\e[31mb' 2; cp exit_with {evil}x; ./{evil}x 3;"
            f" unshare --user --map-root-user --uts ./named {evil[:30]}' ./exit_with 4"
        )
        wait_for(lambda: len([line for line in lines(stack) if "process event: " in line]) >= 5, "five events")
        raw = stack.log_file("procmon").read_bytes()
        told = [line for line in lines(stack) if "process event: " in line and WORKSPACE in line]
    assert b"\x1b" not in raw
    assert b"\r" not in raw
    assert "\u202e" not in raw.decode()
    assert [line for line in raw.decode().splitlines() if not _LINE.match(line)] == []
    assert "os-1-1" not in {line.split(" - ")[2] for line in raw.decode().splitlines()}
    # The four, and the one that gave itself a hostname and was replaced.
    assert len(told) == 5


def lines(stack: Stack) -> list[str]:
    """Procmon's log."""
    return stack.log_text("procmon").split("\n")


def test_names_of_a_students_make_no_metrics(pod: Pod, testers: Path) -> None:
    """A thousand programs of different names and a hundred hostnames: the same time series as before."""
    for tester in ("exit_with", "named"):
        shutil.copy(testers / tester, pod.hw1 / tester)
    with Stack() as stack:
        stack.start("procmon")
        pod.run_as_student("./exit_with; unshare --user --map-root-user --uts ./named me ./exit_with")
        wait_for(lambda: len(runs(stack, "exit_with")) == 2, "the first to be spooled")
        before = series(stack)
        pod.run_as_student(
            "for i in $(seq 1000); do ln exit_with p$i; ./p$i; done;"
            " for i in $(seq 100); do unshare --user --map-root-user --uts ./named h$i ./exit_with; done"
        )
        wait_for(lambda: len(runs(stack, "exit_with")) == 102, "the last to be spooled")
        assert stack.metric("procmon", "watcher_forged_hostnames_total") >= 100
        assert {name for name in series(stack) if not name.startswith("process_events_")} <= before
        types = re.findall(r'process_events_total{process_name="(.*?)"}', "\n".join(series(stack)))
        rules = load_rules()
        known = {rule.process_type for rule in rules.builds} | {rule.process_type for rule in rules.runs}
        assert set(types) <= known | {BINARY}


def series(stack: Stack) -> set[str]:
    """The time series that procmon offers, with their labels and without those of the Python process."""
    text = httpx.get(f"http://127.0.0.1:{stack.metrics_ports['procmon']}/metrics", trust_env=False).text
    names = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    return {name for name in names if not name.startswith("python_")}


def test_token_is_nowhere_but_in_the_environment(pod: Pod, testers: Path) -> None:
    """Not in the arguments that every user of the node sees, nor in a log at DEBUG, the metrics or the spool."""
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    token = "token-that-nobody-may-see"
    with Stack(WATCHER_API_TOKEN=token, WATCHER_LOG_LEVEL="DEBUG") as stack:
        stack.start("procmon")
        pod.run_as_student("./short 1")
        wait_for(lambda: runs(stack, "short"), "the program to be spooled")
        wait_for(lambda: "backend failed" in stack.log_text("procmon"), "a delivery to fail")
        process = Path(f"/proc/{stack.pid('procmon')}")
        assert token.encode() not in (process / "cmdline").read_bytes()
        assert token.encode() in (process / "environ").read_bytes()
        metrics = httpx.get(f"http://127.0.0.1:{stack.metrics_ports['procmon']}/metrics", trust_env=False).content
        stack.stop("procmon")
        places = {path: path.read_bytes() for path in state_of(stack).rglob("*") if path.is_file()}
        log = stack.log_file("procmon").read_bytes()
        assert places
        assert [path for path, content in places.items() if token.encode() in content] == []
    assert token.encode() not in metrics + log
