"""What happened while filemon did not run, or could not deliver, is there afterwards."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.stack import Program, Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace


@pytest.fixture
def fresh_stack() -> Iterator[Stack]:
    with Stack() as running:
        running.start("backend", "filemon")
        yield running


def test_what_was_saved_and_deleted_while_filemon_was_stopped_is_caught_up_with(fresh_stack: Stack) -> None:
    workspace = RecordedWorkspace(fresh_stack)
    for name in ("kept.c", "changed.c", "deleted.c"):
        (workspace.assignment / name).write_text(name)
    workspace.wait_for_events(3)
    fresh_stack.stop("filemon")
    (workspace.assignment / "changed.c").write_text("changed")
    (workspace.assignment / "deleted.c").unlink()
    (workspace.assignment / "new.c").write_text("new")
    fresh_stack.start("filemon")
    later = workspace.wait_for_events(6)[3:]
    assert sorted((event["filename"], event["change"], event["recovered"]) for event in later) == [
        ("changed.c", "modified", True),
        ("deleted.c", "deleted", True),
        ("new.c", "created", True),
    ]


def test_saves_while_the_backend_is_down_for_a_minute_all_arrive_once(fresh_stack: Stack) -> None:
    workspace = RecordedWorkspace(fresh_stack)
    (workspace.assignment / "a.c").write_text("before")
    workspace.wait_for_events(1)
    fresh_stack.stop("backend")
    contents = [f"version {number}" for number in range(60)]
    for content in contents:
        (workspace.assignment / "a.c").write_text(content)
        time.sleep(1.0)
    # The snapshot volume does not wait for the backend.
    assert len(list((fresh_stack.snapshots / workspace.name / "hw1" / "a.c").iterdir())) == 61
    fresh_stack.start("backend")
    events = workspace.wait_for_events(61, seconds=60.0)
    assert [fresh_stack.content(event["id"]).decode() for event in events] == ["before", *contents]
    wait_for(lambda: fresh_stack.metric("filemon", "watcher_spool_events") == 0, "an empty spool")
    assert len(workspace.events()) == 61


def test_the_snapshot_volume_failing_holds_back_nothing_for_good(fresh_stack: Stack) -> None:
    workspace = RecordedWorkspace(fresh_stack)
    obstacle = fresh_stack.snapshots / workspace.name
    obstacle.write_text("a file where the directory has to be")
    (workspace.assignment / "a.c").write_text("x")
    failures = 'watcher_delivery_failures_total{sink="snapshot_volume"}'
    wait_for(lambda: fresh_stack.metric("filemon", failures) > 0, "the failure to be counted")
    other = RecordedWorkspace(fresh_stack)
    (other.assignment / "b.c").write_text("y")
    other.wait_for_content(Path("b.c"), b"y")
    assert workspace.events() == []
    obstacle.unlink()
    workspace.wait_for_content(Path("a.c"), b"x")


@pytest.mark.parametrize("seed", range(10))
def test_a_kill_at_a_random_moment_of_a_thousand_saves_loses_no_final_content(seed: int) -> None:
    """Both agents are killed, each at a moment of its own, and started again while the saves go on."""
    chance = random.Random(seed)
    with Stack() as stack:
        stack.start("backend", "filemon", "procmon")
        workspace = RecordedWorkspace(stack)
        names = [f"file{number}.c" for number in range(1000)]
        finals = {name: f"{name} of round {seed}: {chance.random()}" for name in names}

        def save_all() -> None:
            for name in names:
                (workspace.assignment / name).write_text(finals[name])
                time.sleep(0.001)

        saver = threading.Thread(target=save_all)
        saver.start()
        agents: list[Program] = ["filemon", "procmon"]
        for program in chance.sample(agents, 2):
            time.sleep(chance.uniform(0.05, 0.6))
            stack.kill(program)
            stack.start(program)
        saver.join()
        wait_for(lambda: _recorded(stack, workspace) == finals, "all final contents", 60.0)
        wait_for(lambda: stack.metric("filemon", "watcher_spool_events") == 0, "an empty spool")
        assert len(_last_versions(stack, workspace)) == 1000


def _last_versions(stack: Stack, workspace: RecordedWorkspace) -> dict[str, str]:
    """The path of the last snapshot of each file of the student, as the backend has it."""
    last: dict[str, tuple[str, str]] = {}
    for event in stack.events():
        if event["student_id"] == workspace.student_id:
            version = (str(event["occurred_at"]), str(event["snapshot_path"]))
            last[event["filename"]] = max(version, last.get(event["filename"], ("", "")))
    return {filename: path for filename, (_, path) in last.items()}


def _recorded(stack: Stack, workspace: RecordedWorkspace) -> dict[str, str]:
    paths = _last_versions(stack, workspace)
    return {filename: (stack.snapshots / path).read_text() for filename, path in paths.items()}
