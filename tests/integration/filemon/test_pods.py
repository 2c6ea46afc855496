"""On a node with pods, the workspaces that are watched are those that pods have mounted."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(WATCHER_WORKSPACES="pods") as running:
        running.start("backend", "filemon")
        yield running


@contextmanager
def mounted(stack: Stack, workspace: RecordedWorkspace, pod: str = "uid-1") -> Iterator[Path]:
    """Mount a workspace by itself, in the host's mount namespace, as kubelet does for a pod."""
    mount_point = stack.directory / "pods" / pod / workspace.name
    mount_point.mkdir(parents=True)
    subprocess.run(["mount", "--bind", workspace.directory, mount_point], check=True)
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", mount_point], check=True)


def test_a_workspace_is_watched_while_a_pod_has_it_mounted(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    absent = RecordedWorkspace(stack)
    (workspace.assignment / "before.c").write_text("saved before the pod came")
    (absent.assignment / "a.c").write_text("of a student whose pod is on another node")
    with mounted(stack, workspace) as project:
        found = workspace.wait_for_content(Path("before.c"), b"saved before the pod came")
        assert found["recovered"]
        (project / "hw1" / "after.c").write_text("saved through the pod's mount")
        seen = workspace.wait_for_content(Path("after.c"), b"saved through the pod's mount")
        assert not seen["recovered"]
        assert stack.metric("filemon", "watcher_workspaces") == 1
        assert stack.metric("filemon", "watcher_inotify_watches") == 2
    assert absent.events() == []


def test_the_last_save_before_the_pod_goes_is_recorded_and_then_the_watches_go_too(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    with mounted(stack, workspace) as project:
        wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 2, "the workspace to be watched")
        (project / "hw1" / "last.c").write_text("last words")
    workspace.wait_for_content(Path("last.c"), b"last words")
    wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 0, "the watches to go", 30.0)
    (workspace.assignment / "later.c").write_text("by nobody on this node")
    time.sleep(1.0)
    assert workspace.changes() == [("last.c", "created")]


def test_a_workspace_that_was_made_anew_with_its_pod_is_watched(stack: Stack) -> None:
    """Also where filemon looks only then: it sees the same name mounted, and its watches are dead."""
    workspace = RecordedWorkspace(stack)
    with mounted(stack, workspace):
        wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 2, "the workspace to be watched")
        os.kill(stack.pid("filemon"), signal.SIGSTOP)
    shutil.rmtree(workspace.directory)
    workspace.assignment.mkdir(parents=True)
    with mounted(stack, workspace, "uid-2") as project:
        (project / "hw1" / "first.c").write_text("found by the scan")
        os.kill(stack.pid("filemon"), signal.SIGCONT)
        workspace.wait_for_content(Path("first.c"), b"found by the scan")
        (project / "hw1" / "second.c").write_text("seen by inotify")
        assert not workspace.wait_for_content(Path("second.c"), b"seen by inotify")["recovered"]
