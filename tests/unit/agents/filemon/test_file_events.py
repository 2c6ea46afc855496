"""What each kind of inotify event leads to."""

from pathlib import Path

import pyinotify
import pytest

from lab.set_clock import SetClock
from unit.agents.filemon.conftest import WORKSPACE
from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.catch_up import Walks
from watcher_agents.filemon.file_events import FileEvents
from watcher_agents.filemon.inotify import InotifyEvent, ReadEvents
from watcher_agents.filemon.rules import load_rules
from watcher_agents.filemon.schedule import Activity, Look, Schedule
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.heartbeat import Heartbeat

WS = WORKSPACE.encode()
HW1 = WS + b"/hw1"
FILE = HW1 + b"/a.c"


class Scene:
    """Events in the assignment directory hw1, on a clock that stands."""

    def __init__(self, tree: WatchedTree) -> None:
        self.tree = tree
        self.clock = SetClock()
        self.known: list[bytes] = []
        self.overtaken: list[tuple[bytes, float]] = []
        self.schedule = Schedule(20, 1000, Allowances(1e6, 1e9, self.clock), self.clock)
        self.walks = Walks(tree, self.schedule, lambda _: self.known, lambda *_: None, Heartbeat(), self.clock)
        self.events = FileEvents(
            load_rules(None), tree, self.schedule, self.walks, lambda *lost: self.overtaken.append(lost)
        )
        self.watches = {}
        for directory in (b"", WS, HW1, HW1 + b"/src"):
            tree.visit(directory)
        for watch in range(1, 10):
            watched = tree.directory_of(watch)
            if watched is not None:
                self.watches[watched] = watch

    def event(self, mask: int, name: bytes = b"a.c", directory: bytes = HW1) -> None:
        self.handle(InotifyEvent(self.watches[directory], mask, name))

    def handle(self, event: InotifyEvent) -> None:
        self.events.handle(ReadEvents([event], 90.0))

    def due(self, seconds: float = 0.0) -> list[Look]:
        self.clock.now += seconds
        return self.schedule.take_due(100)


@pytest.fixture
def scene(tree: WatchedTree) -> Scene:
    return Scene(tree)


@pytest.mark.parametrize("mask", [pyinotify.IN_CLOSE_WRITE, pyinotify.IN_MOVED_TO], ids=["closed", "moved in"])
def test_a_completed_save_is_looked_at_at_once(scene: Scene, mask: int) -> None:
    scene.event(mask)
    (look,) = scene.due()
    assert (look.path, look.complete, look.recovered) == (FILE, True, False)


@pytest.mark.parametrize("mask", [pyinotify.IN_CREATE, pyinotify.IN_MODIFY], ids=["made", "written"])
def test_a_file_that_is_being_written_is_looked_at_when_it_is_quiet(scene: Scene, mask: int) -> None:
    scene.event(mask)
    assert scene.schedule.activity(FILE) is Activity.WRITING
    assert scene.due(1.9) == []
    (look,) = scene.due(0.2)
    assert not look.complete


@pytest.mark.parametrize("mask", [pyinotify.IN_DELETE, pyinotify.IN_MOVED_FROM], ids=["deleted", "moved away"])
def test_a_file_that_vanishes_is_looked_at_after_a_grace(scene: Scene, mask: int) -> None:
    scene.event(mask)
    assert scene.due(0.4) == []
    (look,) = scene.due(0.2)
    assert not look.complete


@pytest.mark.parametrize(
    ("masks", "lost"),
    [
        ([pyinotify.IN_MODIFY, pyinotify.IN_CLOSE_WRITE], 0),
        (
            [pyinotify.IN_CLOSE_WRITE, pyinotify.IN_CLOSE_WRITE],
            0,
        ),  # opened for writing and closed: no save between
        ([pyinotify.IN_CLOSE_WRITE, pyinotify.IN_MODIFY], 1),
        ([pyinotify.IN_CLOSE_WRITE, pyinotify.IN_MODIFY, pyinotify.IN_MODIFY, pyinotify.IN_CLOSE_WRITE], 1),
        ([pyinotify.IN_CLOSE_WRITE, pyinotify.IN_DELETE], 1),
        ([pyinotify.IN_CLOSE_WRITE, pyinotify.IN_MOVED_FROM, pyinotify.IN_MOVED_TO], 1),
        ([pyinotify.IN_MOVED_TO, pyinotify.IN_MOVED_TO, pyinotify.IN_MOVED_TO], 2),
        ([pyinotify.IN_MODIFY, pyinotify.IN_DELETE, pyinotify.IN_CREATE], 0),
    ],
)
def test_a_completed_save_that_can_no_longer_be_read_is_told_once(
    scene: Scene, masks: list[int], lost: int
) -> None:
    for mask in masks:
        scene.event(mask)
    assert scene.overtaken == [(FILE, 90.0)] * lost


def test_a_save_that_was_looked_at_in_time_is_not_lost(scene: Scene) -> None:
    for _ in range(3):
        scene.event(pyinotify.IN_MODIFY)
        scene.event(pyinotify.IN_CLOSE_WRITE)
        assert len(scene.due()) == 1
    assert scene.overtaken == []


def test_files_that_do_not_count_and_watches_that_are_gone_are_passed_over(scene: Scene) -> None:
    scene.event(pyinotify.IN_CLOSE_WRITE, b"notes.txt")
    scene.event(pyinotify.IN_CLOSE_WRITE, b"a.c", WS)
    scene.handle(InotifyEvent(999, pyinotify.IN_CLOSE_WRITE, b"a.c"))
    assert len(scene.schedule) == 0


def test_a_workspace_of_which_too_many_files_wait_gets_no_more_of_them(scene: Scene) -> None:
    scene.schedule.max_files = 2
    for number in range(5):
        scene.event(pyinotify.IN_CLOSE_WRITE, b"%d.c" % number)
    assert len(scene.schedule) == 2
    assert scene.tree.crowded == {WS}
    # Those that wait are still told of.
    scene.event(pyinotify.IN_MODIFY, b"0.c")
    assert scene.overtaken == [(HW1 + b"/0.c", 90.0)]


def test_a_new_directory_is_visited_with_what_stands_in_it(scene: Scene, root: Path) -> None:
    (root / WORKSPACE / "hw1" / "new").mkdir()
    (root / WORKSPACE / "hw1" / "new" / "a.c").touch()
    scene.event(pyinotify.IN_CREATE | pyinotify.IN_ISDIR, b"new")
    scene.walks.go_on(1.0)
    assert [look.path for look in scene.due(0.2)] == [HW1 + b"/new/a.c"]


def test_a_directory_that_cannot_count_is_not_visited(scene: Scene) -> None:
    scene.event(pyinotify.IN_CREATE | pyinotify.IN_ISDIR, b"node_modules")
    assert not scene.walks.is_walking


@pytest.mark.parametrize("mask", [pyinotify.IN_DELETE, pyinotify.IN_MOVED_FROM], ids=["deleted", "moved away"])
def test_a_directory_that_vanishes_loses_its_watches_and_what_was_known_in_it_is_looked_at(
    scene: Scene, root: Path, mask: int
) -> None:
    scene.known = [HW1 + b"/src/b.c"]
    (root / WORKSPACE / "hw1" / "src").rmdir()
    before = len(scene.tree)
    scene.event(mask | pyinotify.IN_ISDIR, b"src")
    assert len(scene.tree) == before - 1
    scene.walks.go_on(1.0)
    assert [look.path for look in scene.due(0.6)] == scene.known


def test_a_directory_made_again_before_its_deletion_was_heard_of_is_watched(scene: Scene, root: Path) -> None:
    scene.event(pyinotify.IN_DELETE | pyinotify.IN_ISDIR, b"src")
    scene.walks.go_on(1.0)
    assert HW1 + b"/src" in {scene.tree.directory_of(watch) for watch in range(1, 10)}


def test_a_dropped_watch_is_forgotten_and_the_roots_is_told(scene: Scene) -> None:
    scene.event(pyinotify.IN_IGNORED, b"", HW1)
    assert scene.tree.directory_of(scene.watches[HW1]) is None
    assert not scene.events.root_lost
    scene.event(pyinotify.IN_IGNORED, b"", b"")
    assert scene.events.root_lost


def test_an_unmount_and_an_overflow_are_told(scene: Scene) -> None:
    scene.event(pyinotify.IN_UNMOUNT, b"", HW1)
    assert scene.events.root_lost
    assert scene.events.overflowed_after is None
    scene.handle(InotifyEvent(-1, pyinotify.IN_Q_OVERFLOW, b""))
    assert scene.events.overflowed_after == 90.0
