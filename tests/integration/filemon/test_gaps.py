"""What may be missing is declared: when, why, whose; and a run in which nothing is declares nothing."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from integration.filemon.test_kernel_limits import limit
from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as running:
        running.start("backend", "filemon")
        yield running


def gaps(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.get("/api/v1/gaps")["gaps"]
    return found


def gap_of(stack: Stack, cause: str) -> dict[str, Any]:
    """The gap of this cause, once it is declared."""

    def look() -> dict[str, Any]:
        return next((gap for gap in gaps(stack) if gap["cause"] == cause), {})

    return wait_for(look, f"a gap {cause}", 60.0)


def watched(stack: Stack, directories: int) -> None:
    """Wait until so many directories are watched: a save in one that is newer may count as one too many."""
    wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == directories, f"{directories} watches")


@contextmanager
def tmpfs(point: Path) -> Iterator[None]:
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", point], check=False)


def test_a_clean_run_declares_nothing(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    for number in range(3):
        (workspace.assignment / f"d{number}").mkdir()
    watched(stack, 6)
    for number in range(30):
        file = workspace.assignment / f"d{number % 3}" / "a.c"
        file.write_text(f"version {number}")
        workspace.wait_for_content(file.relative_to(workspace.assignment), file.read_bytes())
    (workspace.assignment / "d0" / "a.c").unlink()
    (workspace.assignment / "d1").rename(workspace.assignment / "e1")
    workspace.wait_for_events(30 + 1 + 2)
    # What is gathered is declared at the stop at the latest.
    stack.stop("filemon")
    assert gaps(stack) == []


def test_a_restart_is_a_gap_with_what_it_compared_and_found(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    watched(stack, 3)
    for name in ("kept.c", "changed.c", "deleted.c"):
        (workspace.assignment / name).write_text(name)
    workspace.wait_for_events(3)
    stack.stop("filemon")
    (workspace.assignment / "changed.c").write_text("changed")
    (workspace.assignment / "deleted.c").unlink()
    (workspace.assignment / "new.c").write_text("new")
    stack.start("filemon")
    gap = gap_of(stack, "agent_stopped")
    assert (gap["files_seen"], gap["files_recovered"], gap["events_lost"]) == (4, 3, None)
    assert (gap["student_id"], gap["agent"], gap["node"]) == (None, "filemon", "worker-1")
    recovered = [event for event in workspace.wait_for_events(6) if event["recovered"]]
    assert len(recovered) == 3
    assert all(gap["started_at"] <= event["occurred_at"] <= gap["occurred_at"] for event in recovered)
    stack.stop("filemon")
    assert [gap["cause"] for gap in gaps(stack)] == ["agent_stopped"]


def test_an_overflow_is_a_gap_and_what_is_there_is_recovered() -> None:
    with Stack() as stack:
        with limit("max_queued_events", 16):
            stack.start("backend", "filemon")
        workspace = RecordedWorkspace(stack)
        (workspace.assignment / "first.c").write_text("first")
        workspace.wait_for_events(1)
        os.kill(stack.pid("filemon"), signal.SIGSTOP)
        for number in range(100):
            (workspace.assignment / f"{number}.c").write_text(str(number))
        os.kill(stack.pid("filemon"), signal.SIGCONT)
        workspace.wait_for_events(101)
        gap = gap_of(stack, "queue_overflow")
        assert gap["files_seen"] == 101
        assert 0 < gap["files_recovered"] <= 100
        assert gap["events_lost"] is None
        recovered = [event for event in workspace.events() if event["recovered"]]
        assert all(gap["started_at"] <= event["occurred_at"] <= gap["occurred_at"] for event in recovered)


def test_what_cannot_be_watched_is_a_gap_that_ends_when_it_can(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    watched(stack, 3)
    with limit("max_user_watches", 3):
        (workspace.assignment / "deep").mkdir()
        (workspace.assignment / "deep" / "a.c").write_text("one")
        workspace.wait_for_content(Path("deep/a.c"), b"one")
        assert gaps(stack) == []
    gap = gap_of(stack, "unwatched")
    assert gap["student_id"] == workspace.student_id
    assert gap["files_seen"] >= 1
    stack.stop("filemon")
    assert len(gaps(stack)) == 1


def test_a_watch_root_that_is_mounted_again_is_compared_and_what_was_away_is_not_taken_for_deleted() -> None:
    with Stack() as stack, tmpfs(stack.workspaces):
        stack.start("backend", "filemon")
        pid = stack.pid("filemon")
        workspace = RecordedWorkspace(stack)
        (workspace.assignment / "a.c").write_text("before")
        (workspace.assignment / "b.c").write_text("stays")
        workspace.wait_for_events(2)
        keep = stack.directory / "keep"
        keep.mkdir()
        subprocess.run(["mount", "--bind", stack.workspaces, keep], check=True)
        try:
            subprocess.run(["umount", "-l", stack.workspaces], check=True)
            wait_for(lambda: "waiting for it" in stack.log_text("filemon"), "the loss to be noticed", 60.0)
            (keep / workspace.name / "hw1" / "a.c").write_text("while it was away")
            (keep / workspace.name / "hw1" / "c.c").write_text("made while it was away")
            assert [event["change"] for event in workspace.events()] == ["created", "created"]
            subprocess.run(["mount", "--bind", keep, stack.workspaces], check=True)
            workspace.wait_for_content(Path("a.c"), b"while it was away")
            workspace.wait_for_content(Path("c.c"), b"made while it was away")
        finally:
            subprocess.run(["umount", "-l", keep], check=True)
        gap = gap_of(stack, "remounted")
        assert gap["files_seen"] == 3
        (workspace.assignment / "a.c").write_text("after")
        assert not workspace.wait_for_content(Path("a.c"), b"after")["recovered"]
        assert stack.pid("filemon") == pid
        assert stack.ended("filemon") is None
        assert "deleted" not in {event["change"] for event in workspace.events()}


def test_a_watch_root_with_other_content_deletes_nothing(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    (workspace.assignment / "a.c").write_text("x")
    workspace.wait_for_events(1)
    with tmpfs(stack.workspaces):
        # Of another type than it was: not what is to be watched.
        (stack.workspaces / "os-1-5" / "hw1").mkdir(parents=True)
        (stack.workspaces / "os-1-5" / "hw1" / "a.c").write_text("of another export")
        wait_for(lambda: "waiting for it" in stack.log_text("filemon"), "the other mount to be noticed", 60.0)
    (workspace.assignment / "a.c").write_text("back")
    workspace.wait_for_content(Path("a.c"), b"back")
    gap_of(stack, "remounted")
    assert [event["change"] for event in stack.events()] == ["created", "modified"]


def test_a_watch_root_deleted_and_made_again_is_watched_again(stack: Stack) -> None:
    workspace = RecordedWorkspace(stack)
    (workspace.assignment / "a.c").write_text("x")
    workspace.wait_for_events(1)
    stack.workspaces.rename(stack.directory / "gone")
    workspace.assignment.mkdir(parents=True)
    (workspace.assignment / "b.c").write_text("anew")
    workspace.wait_for_content(Path("b.c"), b"anew")
    gap_of(stack, "remounted")
    (workspace.assignment / "b.c").write_text("watched")
    assert not workspace.wait_for_content(Path("b.c"), b"watched")["recovered"]


@pytest.mark.parametrize("pods", [300])
def test_pods_that_start_together_are_watched_and_none_of_their_saves_is_a_matter_of_luck(pods: int) -> None:
    """Each saves two seconds after its mount: seen as it happened, not found by a later comparison."""
    with Stack(WATCHER_WORKSPACES="pods") as stack:
        stack.start("backend", "filemon")
        workspaces = [RecordedWorkspace(stack) for _ in range(pods)]
        points = [stack.directory / "pods" / workspace.name for workspace in workspaces]
        script = "\n".join(
            f"mkdir -p {point}; mount --bind {workspace.directory} {point}"
            f"; (sleep 2; echo saved > {point}/hw1/a.c) & sleep 0.02"
            for workspace, point in zip(workspaces, points, strict=True)
        )
        try:
            subprocess.run(["bash", "-c", script + "\nwait"], check=True)
            for workspace in workspaces:
                (event,) = workspace.wait_for_events(1, 60.0)
                assert not event["recovered"]
            assert stack.metric("filemon", "watcher_workspaces") == pods
            assert gaps(stack) == []
        finally:
            for point in points:
                subprocess.run(["umount", point], check=False)
