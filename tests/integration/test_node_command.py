"""`watcher-agent` on running agents: it proves that they record, says when they do not, and leaves no trace.

This machine's agents are no units, so what systemd and the journal tell is left to the tests on whole nodes.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.stack import Stack
from lab.waiting import wait_for
from watcher_agents import __version__
from watcher_agents.node.agent_metrics import MetricsUnavailable, scrape
from watcher_agents.node.canary import CANARY_CLASS, canary_of
from watcher_agents.node.steps import StepFailed, Steps
from watcher_agents.node.verify_filemon import verify_filemon
from watcher_agents.node.verify_procmon import verify_procmon

WITHIN = 20.0
STUDENT = canary_of("worker-1")


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A proof ignores signals while it takes down what it made; the programs of later tests would inherit that."""
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture(params=["pods", "all"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with Stack(WATCHER_WORKSPACES=request.param) as running:
        running.start("backend", "filemon")
        yield running


def new_steps() -> Steps:
    return Steps(on_step=lambda step: None)


def brief(steps: Steps) -> list[tuple[str, bool]]:
    return [(step.name, step.ok) for step in steps.done]


def assert_no_trace(stack: Stack) -> None:
    """Nothing of the canary is left: rows, snapshots, workspace, mounts, processes."""
    assert stack.get("/api/v1/events", class_div=CANARY_CLASS)["events"] == []
    assert list(stack.snapshots.iterdir()) == []
    assert list(stack.workspaces.iterdir()) == []
    assert "canary" not in Path("/proc/self/mountinfo").read_text()
    assert not Path("/run/watcher", STUDENT.workspace).exists()
    assert STUDENT.workspace.encode() not in b"".join(
        entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline") if entry.parent.exists()
    )


def test_a_filemon_that_records_is_proved_and_no_trace_is_left(stack: Stack) -> None:
    steps = new_steps()
    verify_filemon(stack.environment("filemon"), None, WITHIN, steps)
    assert brief(steps) == [
        (name, True)
        for name in (
            "settings", "mount", "leftovers", "pod", "first save", "first save at the backend", "save",
            "save at the backend", "seen by inotify", "content over REST", "content on the snapshot volume",
            "cleanup",
        )
    ]  # fmt: skip
    assert_no_trace(stack)


def test_a_second_proof_right_after_the_first_goes_as_well(stack: Stack) -> None:
    for _ in range(2):
        steps = new_steps()
        verify_filemon(stack.environment("filemon"), None, WITHIN, steps)
        assert steps.ok


def test_a_filemon_that_hangs_is_named_and_no_trace_is_left(stack: Stack) -> None:
    steps = new_steps()
    os.kill(stack.pid("filemon"), signal.SIGSTOP)
    try:
        with pytest.raises(StepFailed, match=r"journalctl -u watcher-filemon\.service"):
            verify_filemon(stack.environment("filemon"), None, 1.0, steps)
    finally:
        os.kill(stack.pid("filemon"), signal.SIGCONT)
    assert brief(steps)[-2:] == [("first save at the backend", False), ("cleanup", True)]
    assert_no_trace(stack)


def test_a_backend_that_is_gone_is_named_and_what_could_be_removed_is(stack: Stack) -> None:
    stack.stop("backend")
    steps = new_steps()
    with pytest.raises(Exception, match="/api/v1/canaries/"):
        verify_filemon(stack.environment("filemon"), None, WITHIN, steps)
    assert brief(steps)[2:] == [("leftovers", False), ("cleanup", False)]
    assert "ConnectError" in steps.done[-1].detail
    stack.start("backend")
    assert_no_trace(stack)


def test_rules_that_do_not_record_the_canary_are_named_before_anything_is_made(
    stack: Stack, tmp_path: Path
) -> None:
    rules = tmp_path / "filemon.yml"
    rules.write_text("assignment_pattern: lab[0-9]\n")
    steps = new_steps()
    with pytest.raises(StepFailed, match=r"hw1/hello\.c: see assignment_pattern"):
        verify_filemon({**stack.environment("filemon"), "WATCHER_RULES_FILE": str(rules)}, None, WITHIN, steps)
    assert brief(steps) == [("settings", False)]


VERIFY = """
import os
from watcher_agents.node.interruption import interruptible
from watcher_agents.node.steps import Steps
from watcher_agents.node.verify_filemon import verify_filemon

with interruptible():
    verify_filemon(os.environ, None, 30.0, Steps(on_step=lambda step: print(step.name, flush=True)))
"""


def verification_that_waits(stack: Stack) -> "subprocess.Popen[str]":
    """A verification in a process of its own that waits for a filemon that hangs."""
    os.kill(stack.pid("filemon"), signal.SIGSTOP)
    process = subprocess.Popen(
        [sys.executable, "-c", VERIFY],
        env=stack.environment("filemon"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    while process.stdout.readline() != "first save\n":
        assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_proof_leaves_no_trace(stack: Stack, number: signal.Signals) -> None:
    process = verification_that_waits(stack)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert f"interrupted by {number.name}" in errors
    os.kill(stack.pid("filemon"), signal.SIGCONT)
    assert_no_trace(stack)


def test_what_a_killed_proof_left_is_removed_by_the_next(stack: Stack) -> None:
    process = verification_that_waits(stack)
    process.kill()
    process.communicate()
    os.kill(stack.pid("filemon"), signal.SIGCONT)
    assert "canary" in Path("/proc/self/mountinfo").read_text()
    wait_for(
        lambda: stack.get("/api/v1/events", class_div=CANARY_CLASS)["events"], "the killed proof's event to arrive"
    )
    steps = new_steps()
    verify_filemon(stack.environment("filemon"), None, WITHIN, steps)
    assert steps.ok
    assert_no_trace(stack)


def test_a_students_files_beside_the_canarys_stay_as_they_are(stack: Stack) -> None:
    kept = {
        directory / name: b"of a student"
        for directory in (stack.workspaces / "os-1-202012180", stack.snapshots / "os-1-202012180")
        for name in ("hello.c", f"{CANARY_CLASS}-1")
    }
    for path, content in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    verify_filemon(stack.environment("filemon"), None, WITHIN, new_steps())
    assert {path: path.read_bytes() for path in kept} == kept
    found = {path for root in (stack.workspaces, stack.snapshots) for path in root.rglob("*") if path.is_file()}
    assert found == set(kept)


def test_a_procmon_that_records_is_proved_and_no_trace_is_left() -> None:
    with Stack() as stack:
        stack.start("backend", "procmon", "filemon")
        steps = new_steps()
        verify_procmon(stack.environment("procmon"), None, WITHIN, steps)
        assert brief(steps) == [
            (name, True)
            for name in (
                "settings", "leftovers", "pod", "build", "build at the backend", "build's exit code", "run",
                "run at the backend", "run's exit code", "script", "script at the backend", "script's exit code",
                "cleanup",
            )
        ]  # fmt: skip
        assert steps.notes == []
        assert {step.name: step.detail for step in steps.done}["script's exit code"] == "7"
        stack.stop("procmon")
        assert_no_trace(stack)


def test_an_agents_metrics_are_read_as_it_serves_them(stack: Stack) -> None:
    metrics = scrape(stack.metrics_ports["filemon"])
    assert metrics.release == __version__
    assert metrics.count("watcher_spool_events") == 0
    assert metrics.count("watcher_delivered_events_total") == 0
    assert metrics.value("watcher_no_such_metric") is None
    stack.kill("filemon")
    with pytest.raises(MetricsUnavailable, match="does not answer"):
        scrape(stack.metrics_ports["filemon"])
