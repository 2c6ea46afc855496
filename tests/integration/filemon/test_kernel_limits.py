"""Where the kernel's limits end what inotify can tell, scanning takes over and nothing is lost."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.equation import nanoseconds
from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace

LIMITS = Path("/proc/sys/fs/inotify")


@contextmanager
def limit(name: str, value: int) -> Iterator[None]:
    """Set one of the kernel's inotify limits for a while."""
    former = (LIMITS / name).read_text()
    (LIMITS / name).write_text(str(value))
    try:
        yield
    finally:
        (LIMITS / name).write_text(former)


def test_after_an_overflow_every_file_is_there() -> None:
    with Stack() as stack:
        with limit("max_queued_events", 16):
            stack.start("backend", "filemon")
        workspace = RecordedWorkspace(stack)
        (workspace.assignment / "first.c").write_text("first")
        workspace.wait_for_events(1)
        os.kill(stack.pid("filemon"), signal.SIGSTOP)
        for number in range(200):
            (workspace.assignment / f"{number}.c").write_text(str(number))
        os.kill(stack.pid("filemon"), signal.SIGCONT)
        events = workspace.wait_for_events(201)
        assert {stack.content(event["id"]) for event in events} == {
            b"first",
            *(str(number).encode() for number in range(200)),
        }
        assert stack.metric("filemon", "watcher_inotify_overflows_total") >= 1
        assert "the inotify queue overflowed" in stack.log_text("filemon")
        assert any(event["recovered"] for event in events)


def test_directories_beyond_the_watch_limit_are_scanned_and_then_watched_when_it_is_raised() -> None:
    with Stack() as stack:
        stack.start("backend", "filemon")
        # The root, the workspace and the assignment have their watches; the directories below get none.
        workspace = RecordedWorkspace(stack)
        wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 3, "three watches")
        with limit("max_user_watches", 3):
            (workspace.assignment / "deep").mkdir()
            (workspace.assignment / "deep" / "a.c").write_text("one")
            workspace.wait_for_content(Path("deep/a.c"), b"one")
            assert stack.metric("filemon", "watcher_inotify_unwatched") == 1
            (workspace.assignment / "deep" / "a.c").write_text("two")
            assert workspace.wait_for_content(Path("deep/a.c"), b"two")["recovered"]
            assert "fs.inotify.max_user_watches is used up at watches=3" in stack.log_text("filemon")
        wait_for(lambda: stack.metric("filemon", "watcher_inotify_unwatched") == 0, "the directory to be watched")
        (workspace.assignment / "deep" / "a.c").write_text("three")
        assert not workspace.wait_for_content(Path("deep/a.c"), b"three")["recovered"]
        time.sleep(0.1)
        assert [event["change"] for event in workspace.events()] == ["created", "modified", "modified"]


def test_the_gap_begins_when_the_watch_is_refused_although_nothing_arrives_then() -> None:
    """What is saved and overwritten between two scans is lost: the gap must not begin with the next scan."""
    with Stack(WATCHER_WORKSPACES="all") as stack:
        stack.start("backend", "filemon")
        workspace = RecordedWorkspace(stack)
        wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 3, "three watches")
        with limit("max_user_watches", 3):
            (workspace.assignment / "deep").mkdir()
            wait_for(lambda: stack.metric("filemon", "watcher_inotify_unwatched") == 1, "the refused watch")
            saved_ns = time.time_ns()
            for text in ("lost", "kept"):
                (workspace.assignment / "deep" / "a.c").write_text(text)
            workspace.wait_for_content(Path("deep/a.c"), b"kept")
        (gap,) = wait_for(lambda: stack.get("/api/v1/gaps", cause="unwatched")["gaps"], "the gap")
        assert nanoseconds(gap["started_at"]) < saved_ns
        assert gap["student_id"] == workspace.student_id
