"""Two nodes' agents on one export: a pod may go from one to the other, and both may catch up at once."""

import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.second_node import SecondNode
from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(WATCHER_WORKSPACES="pods") as running:
        running.start("backend", "filemon")
        yield running


@contextmanager
def pod_on_the_first(stack: Stack, workspace: RecordedWorkspace) -> Iterator[None]:
    point = stack.directory / "pods" / workspace.name
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--make-private", "--bind", workspace.directory, point], check=True)
    try:
        wait_for(lambda: stack.metric("filemon", "watcher_workspaces") == 1, "the first node to watch")
        yield
    finally:
        subprocess.run(["umount", point], check=True)


def delivered(stack: Stack, second: SecondNode) -> bool:
    return stack.metric("filemon", "watcher_spool_events") == 0 and second.has_delivered()


def test_a_pod_that_moves_while_its_student_types_loses_nothing_and_stores_nothing_twice(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    saved: list[str] = []
    stop = threading.Event()

    def type_on() -> None:
        number = 0
        while not stop.wait(0.2):
            number += 1
            (workspace.assignment / "a.c").write_text(f"version {number}")
            saved.append(f"version {number}")

    typist = threading.Thread(target=type_on)
    with SecondNode(stack, ()) as second:
        point = stack.directory / "pods-2" / workspace.name
        with pod_on_the_first(stack, workspace):
            typist.start()
            wait_for(lambda: len(saved) > 10, "some typing")
            # As when a pod moves: it is there on the new node before the old one has let go.
            second.mount(workspace.directory, point)
            wait_for(lambda: second.metric("watcher_workspaces") == 1, "the second node to watch")
        wait_for(lambda: len(saved) > 25, "more typing")
        stop.set()
        typist.join()
        workspace.wait_for_content(Path("a.c"), saved[-1].encode())
        wait_for(lambda: delivered(stack, second), "both spools to be empty")
        events = workspace.events()
        contents = [stack.content(event["id"]).decode() for event in events]
        assert contents == saved
        assert [event["change"] for event in events] == ["created"] + ["modified"] * (len(saved) - 1)
        snapshots = list((stack.snapshots / workspace.name / "hw1" / "a.c").iterdir())
        assert len(snapshots) == len(saved)
        second.stop()


def test_a_deletion_that_the_other_node_saw_is_stored_once(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    file = workspace.assignment / "a.c"
    with SecondNode(stack, ()) as second:
        point = stack.directory / "pods-2" / workspace.name
        with pod_on_the_first(stack, workspace):
            file.write_text("x")
            workspace.wait_for_events(1)
        wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 0, "the first node to let go", 60.0)
        second.mount(workspace.directory, point)
        wait_for(lambda: second.metric("watcher_inotify_watches") == 2, "the second node to watch")
        wait_for(lambda: second.metric("watcher_files_waiting") == 0, "the second node to know the file")
        file.unlink()
        workspace.wait_for_events(2)
        second.unmount(point)
        # Back to the first, which knew the file.
        with pod_on_the_first(stack, workspace):
            (workspace.assignment / "b.c").write_text("y")
            workspace.wait_for_content(Path("b.c"), b"y")
            wait_for(lambda: stack.metric("filemon", "watcher_files_waiting") == 0, "the comparison to be done")
            wait_for(lambda: delivered(stack, second), "both spools to be empty")
        assert Counter(workspace.changes())["a.c", "deleted"] == 1
        second.stop()


def test_two_nodes_that_catch_up_at_once_store_nothing_twice(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    names = [f"d{number % 20}/{number}.c" for number in range(200)]
    point = stack.directory / "pods-2" / workspace.name
    with pod_on_the_first(stack, workspace):
        stack.stop("filemon")
        for name in names:
            (workspace.assignment / name).parent.mkdir(exist_ok=True)
            (workspace.assignment / name).write_text(name)
        with SecondNode(stack, ()) as second:
            second.mount(workspace.directory, point)
            stack.start("filemon")
            wait_for(lambda: second.metric("watcher_workspaces") == 1, "the second node to watch")
            workspace.wait_for_events(len(names))
            wait_for(lambda: second.metric("watcher_files_waiting") == 0, "the second node to have compared")
            wait_for(lambda: delivered(stack, second), "both spools to be empty")
            events = workspace.events()
            assert {stack.content(event["id"]).decode() for event in events} == set(names)
            assert len(events) == len(names)
            snapshots = [path for path in (stack.snapshots / workspace.name).rglob("*") if path.is_file()]
            assert len(snapshots) == len(names)
            second.stop()
    shutil.rmtree(workspace.directory)
