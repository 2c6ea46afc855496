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
from watcher_agents.node.canary import CANARY_CLASS, canary_of
from watcher_agents.node.steps import Step, StepFailed, Steps
from watcher_agents.node.verify_filemon import verify_filemon
from watcher_agents.node.verify_procmon import verify_procmon

WITHIN = 20.0
STUDENT = canary_of("worker-1")


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
