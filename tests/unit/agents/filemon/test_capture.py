"""From a look at a file to a version in the spool: what is new is, what can no longer be read is told."""

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from unit.agents.filemon.conftest import WORKSPACE
from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.capture import EMPTY_SECONDS, FileCapture, Outcome
from watcher_agents.filemon.captured import CapturedVersions
from watcher_agents.filemon.metrics import FilemonMetrics
from watcher_agents.filemon.rules import load_rules
from watcher_agents.filemon.schedule import Activity, Look
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

WS = WORKSPACE.encode()
FILE = WS + b"/hw1/a.c"


class Scene:
    """A file a.c in a student's assignment, and a capture of it."""

    def __init__(self, root: Path, tree: WatchedTree, state: StateDatabase, spool: Spool) -> None:
        self.tree = tree
        self.file = root / WORKSPACE / "hw1" / "a.c"
        self.rules = load_rules(None)
        self.state = state
        self.spool = spool
        self.captured = CapturedVersions(state)
        self.allowances = Allowances(1e6, 1e9)
        self.capture = FileCapture(
            str(root),
            tree,
            self.rules,
            state,
            self.captured,
            spool,
            self.allowances,
            FilemonMetrics(CollectorRegistry()),
            Heartbeat(),
        )

    def look(
        self,
        activity: Callable[[bytes], Activity] = lambda _: Activity.NONE,
        path: bytes = FILE,
        *,
        recovered: bool = False,
        final: bool = False,
        complete: bool = True,
    ) -> Outcome:
        return self.capture.capture([Look(path, recovered, final, complete)], activity)

    def versions(self) -> list[tuple[object, ...]]:
        """What is in the spool: change, content, recovered."""
        events = [*self.spool.unstored(1000, 1 << 30), *self.spool.ready(1000, 1 << 30)]
        return [
            (
                event.body["change"],
                event.content.data if event.content else None,
                event.body["recovered"],
            )
            for event in sorted(events, key=lambda event: event.sequence)
        ]


@pytest.fixture
def scene(root: Path, tree: WatchedTree, state: StateDatabase, spool: Spool) -> Scene:
    return Scene(root, tree, state, spool)


def test_a_save_is_a_version_the_same_again_is_none_and_a_deletion_is_one(scene: Scene) -> None:
    scene.file.write_bytes(b"one")
    (done,) = scene.look().done
    assert (done.path, done.saved_ns) == (FILE, scene.file.stat().st_ctime_ns)
    scene.file.write_bytes(b"one")
    assert scene.look().done[0].saved_ns is None
    scene.file.write_bytes(b"two")
    scene.look(recovered=True)
    scene.file.unlink()
    outcome = scene.look(complete=False)
    assert outcome.overtaken == []
    assert scene.versions() == [
        ("created", b"one", False),
        ("modified", b"two", True),
        ("deleted", b"", False),
    ]
    assert scene.captured.count(WS) == 0
    assert scene.look(complete=False).done[0].saved_ns is None
    assert len(scene.versions()) == 3


def test_a_completed_save_of_a_file_that_is_gone_is_overtaken(scene: Scene) -> None:
    outcome = scene.look()
    assert [look.path for look in outcome.overtaken] == [FILE]
    assert scene.versions() == []


def test_the_beginning_of_the_next_save_is_no_version_and_the_save_before_it_is_overtaken(scene: Scene) -> None:
    scene.file.write_bytes(b"the first half")
    outcome = scene.look(lambda _: Activity.WRITING)
    assert [look.path for look in outcome.torn] == [FILE]
    assert [look.path for look in outcome.overtaken] == [FILE]
    assert (outcome.done, scene.versions()) == ([], [])


def test_an_empty_file_that_is_being_written_is_the_next_saves_beginning(scene: Scene) -> None:
    scene.file.touch()
    outcome = scene.look(lambda _: Activity.WRITING)
    assert len(outcome.torn) == len(outcome.overtaken) == 1
    assert scene.versions() == []


def test_a_file_that_was_read_before_the_next_save_touched_it_is_the_save_that_it_is(scene: Scene) -> None:
    scene.file.write_bytes(b"whole")

    def next_save_begins(_: bytes) -> Activity:
        with scene.file.open("ab") as file:
            file.write(b" and more")
        return Activity.WRITING

    outcome = scene.look(next_save_begins)
    assert (outcome.torn, outcome.overtaken) == ([], [])
    assert scene.versions() == [("created", b"whole", False)]


def test_a_completed_next_save_that_was_read_in_the_place_of_the_one_before_is_recorded(scene: Scene) -> None:
    scene.file.write_bytes(b"second")
    outcome = scene.look(lambda _: Activity.CHANGED)
    assert [look.path for look in outcome.overtaken] == [FILE]
    assert scene.versions() == [("created", b"second", False)]


def test_what_is_taken_as_it_is_is_recorded_although_it_is_being_written(scene: Scene) -> None:
    scene.file.write_bytes(b"so far")
    outcome = scene.look(lambda _: Activity.WRITING, final=True, complete=False)
    assert (outcome.torn, outcome.overtaken) == ([], [])
    assert scene.versions() == [("created", b"so far", False)]


def test_another_save_of_the_same_size_in_the_same_tick_is_found_by_comparing(scene: Scene) -> None:
    """The file system's clock stands still for milliseconds: size and times may be the same, the content not."""
    scene.file.write_bytes(b"one")
    scene.look()
    version = scene.captured.of(FILE)
    assert version is not None
    assert version.state.ctime_ns == 0
    scene.file.write_bytes(b"two")
    scene.look(recovered=True, complete=False)
    assert scene.versions()[1] == ("modified", b"two", True)


def test_an_old_file_that_is_as_it_was_is_not_read_when_it_is_compared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.file.write_bytes(b"one")
    monkeypatch.setattr("watcher_agents.filemon.capture._SOON_NS", 0)
    scene.look()

    def must_not_be_read(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("watcher_agents.filemon.capture.read_beneath", must_not_be_read)
    (done,) = scene.look(recovered=True, complete=False).done
    assert (done.recovered, done.saved_ns) == (True, None)


def test_of_too_many_files_the_new_ones_are_left_out_and_the_known_go_on(
    scene: Scene, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text("max_files: 10\n")
    scene.capture.use_rules(load_rules(tmp_path / "rules.yml"))
    paths = [WS + b"/hw1/%d.c" % number for number in range(11)]
    for path in paths:
        (root / os.fsdecode(path)).write_bytes(path)
    for path in paths:
        outcome = scene.look(path=path)
    assert outcome.too_many == {WS}
    assert outcome.done[0].saved_ns is None
    assert len(scene.versions()) == 10
    (root / os.fsdecode(paths[0])).write_bytes(b"changed")
    assert scene.look(path=paths[0]).done[0].saved_ns is not None
    (root / os.fsdecode(paths[1])).unlink()
    scene.look(path=paths[1], complete=False)
    assert scene.look(path=paths[10]).done[0].saved_ns is not None


def test_what_cannot_be_written_is_neither_captured_nor_forgotten(scene: Scene) -> None:
    scene.file.write_bytes(b"one")
    with scene.state.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        scene.look()
    assert (scene.captured.of(FILE), scene.captured.count(WS), scene.versions()) == (None, 0, [])
    with scene.state.reading() as connection:
        connection.execute("PRAGMA query_only = OFF")
    assert scene.look().done[0].saved_ns is not None
    assert scene.versions() == [("created", b"one", False)]


def test_a_workspace_that_is_gone_as_a_whole_has_deleted_nothing(scene: Scene, root: Path) -> None:
    scene.file.write_bytes(b"one")
    scene.look()
    (root / WORKSPACE).rename(root / "archived")
    assert scene.look(recovered=True, complete=False).done[0].saved_ns is None
    assert scene.captured.of(FILE) is not None
    assert len(scene.versions()) == 1


def test_what_is_recorded_is_taken_off_the_allowance(scene: Scene) -> None:
    scene.allowances.use_rates(1e6, 10.0)
    scene.file.write_bytes(b"x" * 2000)
    scene.look()
    assert scene.allowances.seconds_until(WS) > 90


def test_a_file_that_cannot_be_read_now_is_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("watcher_agents.filemon.capture.read_beneath", stale)
    outcome = scene.look()
    assert [look.path for look in outcome.failed] == [FILE]
    assert outcome.done == []


def test_a_file_that_is_empty_is_looked_at_again_before_that_is_a_version(scene: Scene) -> None:
    """Whoever saves in place cuts the file off first; the kernel tells of that only after it has been done."""
    scene.file.write_bytes(b"")
    early = Look(FILE, complete=True, since=time.monotonic())
    assert scene.capture.capture([early], lambda _: Activity.NONE).empty == [early]
    assert scene.versions() == []
    later = replace(early, since=time.monotonic() - EMPTY_SECONDS)
    assert scene.capture.capture([later], lambda _: Activity.NONE).empty == []
    assert scene.versions() == [("created", b"", False)]
