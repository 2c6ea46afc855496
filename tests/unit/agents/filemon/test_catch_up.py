"""Comparing the tree with what is known of it: a directory at a time, in turn, and told of once."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.set_clock import SetClock
from unit.agents.filemon.conftest import WORKSPACE
from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.capture import Done
from watcher_agents.filemon.catch_up import LATE_SECONDS, SETTLE_SECONDS, VISITS_PER_SECOND, Tally, Walks
from watcher_agents.filemon.schedule import Schedule
from watcher_agents.filemon.watched_tree import Found, WatchedTree
from watcher_agents.heartbeat import Heartbeat

WS = WORKSPACE.encode()


class Scene:
    """Walks on a real tree with a clock that stands; what is known is what the test says."""

    def __init__(self, root: Path, tree: WatchedTree) -> None:
        self.root = root
        self.tree = tree
        self.clock = SetClock()
        self.known: set[bytes] = set()
        self.schedule = Schedule(20, 1000, Allowances(1e6, 1e9, self.clock), self.clock)
        self.walks = Walks(
            tree, self.schedule, self.known_beneath, lambda *late: self.late.append(late), Heartbeat(), self.clock
        )
        self.ended: list[Tally] = []
        self.late: list[tuple[bytes, float]] = []

    def known_beneath(self, directory: bytes) -> Iterable[bytes]:
        return [path for path in self.known if not directory or path.startswith(directory + b"/")]

    def make(self, *paths: str) -> None:
        for path in paths:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).touch()

    def walk(self) -> None:
        while self.walks.is_walking:
            self.clock.now += 0.1
            self.walks.go_on(1.0)

    def look(self, recovered: Iterable[bytes] = (), saved_ns: int = 7) -> list[bytes]:
        """Look at all that waits, of which these files prove to be changed; what was looked at."""
        looks = self.schedule.take_due(1000)
        self.walks.looked(
            Done(look.path, look.recovered, saved_ns if look.path in set(recovered) else None) for look in looks
        )
        return sorted(look.path for look in looks)


@pytest.fixture
def scene(root: Path, tree: WatchedTree) -> Scene:
    return Scene(root, tree)


def test_what_is_there_and_what_is_known_is_compared_and_the_end_is_told_once(scene: Scene) -> None:
    scene.make(f"{WORKSPACE}/hw1/a.c", f"{WORKSPACE}/hw1/src/b.c")
    scene.known = {WS + b"/hw1/a.c", WS + b"/hw1/gone.c", b"os-1-7/hw1/other.c"}
    scene.walks.catch_up([WS], scene.ended.append)
    assert scene.walks.running_since() == 100.0
    scene.walk()
    assert scene.ended == []
    looked = scene.look(recovered=[WS + b"/hw1/gone.c", WS + b"/hw1/src/b.c"])
    assert looked == [WS + b"/hw1/a.c", WS + b"/hw1/gone.c", WS + b"/hw1/src/b.c"]
    assert scene.ended == [Tally(3, 2, 7)]
    assert scene.walks.running_since() is None
    scene.walks.looked([Done(WS + b"/hw1/a.c", True, 9)])
    assert len(scene.ended) == 1


def test_an_empty_tree_and_none_at_all_have_an_end_too(scene: Scene) -> None:
    scene.walks.catch_up([], scene.ended.append)
    assert scene.ended == [Tally()]
    scene.walks.catch_up([WS, b"os-1-404"], scene.ended.append)
    scene.walk()
    assert scene.ended == [Tally(), Tally()]


def test_a_file_that_an_event_had_looked_at_meanwhile_counts_as_seen_but_not_as_recovered(scene: Scene) -> None:
    scene.make(f"{WORKSPACE}/hw1/a.c")
    scene.walks.catch_up([WS], scene.ended.append)
    scene.walk()
    scene.walks.looked([Done(WS + b"/hw1/a.c", False, 7)])
    assert scene.ended == [Tally(1, 0, 0)]


def test_a_directory_that_two_ways_lead_to_is_waited_for_once(scene: Scene) -> None:
    """What could not be watched is visited again by name, also below another such."""
    scene.make(f"{WORKSPACE}/hw1/src/b.c")
    scene.walks.catch_up([WS + b"/hw1", WS + b"/hw1/src"], scene.ended.append)
    scene.walk()
    scene.look()
    assert scene.ended == [Tally(1, 0, 0)]


def test_two_comparisons_at_once_end_each_with_its_own_tally(scene: Scene) -> None:
    scene.make(f"{WORKSPACE}/hw1/a.c", "os-1-7/hw1/a.c")
    one: list[Tally] = []
    scene.walks.catch_up([b""], scene.ended.append)
    scene.walks.catch_up([WS], one.append)
    scene.walk()
    scene.look(recovered=[WS + b"/hw1/a.c"])
    assert (scene.ended, one) == ([Tally(2, 1, 7)], [Tally(1, 1, 7)])


def test_workspaces_are_walked_in_turn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        scene.make(f"{WORKSPACE}/hw1/d{number}/a.c")
    scene.make("os-1-7/hw1/a.c", "os-1-8/hw1/a.c")
    visited: list[bytes] = []
    visit = scene.tree.visit

    def noting(directory: bytes) -> Found:
        visited.append(directory)
        return visit(directory)

    monkeypatch.setattr(scene.tree, "visit", noting)
    scene.walks.catch_up([WS, b"os-1-7", b"os-1-8"], scene.ended.append)
    scene.walk()
    assert visited[:6] == [WS, b"os-1-7", b"os-1-8", WS + b"/hw1", b"os-1-7/hw1", b"os-1-8/hw1"]
    assert len(visited) == 26 + 1


def test_a_comparison_visits_no_more_than_so_many_a_second(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcher_agents.filemon.catch_up._BURST_VISITS", 5.0)
    for number in range(30):
        scene.make(f"{WORKSPACE}/hw1/d{number}/a.c")
    scene.walks._visits = 5.0
    scene.walks.catch_up([WS], scene.ended.append)
    scene.walks.go_on(1.0)
    assert len(scene.tree) == 5
    wait = scene.walks.seconds_until_visit()
    assert wait == pytest.approx(1 / VISITS_PER_SECOND)
    scene.clock.now += 2.5 / VISITS_PER_SECOND
    scene.walks.go_on(1.0)
    assert len(scene.tree) == 7
    # What has just appeared does not wait for that.
    scene.make("os-1-7/hw1/a.c")
    scene.walks.appeared(b"os-1-7", 90.0)
    assert scene.walks.seconds_until_visit() == 0.0
    scene.walks.go_on(1.0)
    assert len(scene.tree) == 9


def test_it_stops_when_its_time_is_up_but_gets_on_by_one(root: Path, tree: WatchedTree) -> None:
    scene = Scene(root, tree)
    scene.make(f"{WORKSPACE}/hw1/a.c")
    scene.walks.catch_up([WS], scene.ended.append)
    for expected in (1, 2, 3):
        scene.walks.go_on(0.0)
        assert len(scene.tree) == expected


def test_what_appears_is_visited_with_all_below_it_and_its_files_are_looked_at_soon(scene: Scene) -> None:
    scene.make(f"{WORKSPACE}/hw1/new/deep/a.c")
    scene.walks.appeared(WS + b"/hw1/new", 90.0)
    scene.walk()
    scene.clock.now += SETTLE_SECONDS
    (look,) = scene.schedule.take_due(10)
    assert (look.path, look.recovered, look.complete) == (WS + b"/hw1/new/deep/a.c", False, True)


def test_a_directory_that_appears_again_and_again_waits_once(scene: Scene) -> None:
    for _ in range(1000):
        scene.walks.appeared(WS + b"/hw1/brief", 90.0)
        scene.walks.left(WS + b"/hw1/brief")
    assert (scene.walks._new.count(WS), scene.walks._left.count(WS)) == (1, 1)
    scene.walk()
    assert scene.walks.seconds_until_visit() is None


def test_more_than_is_followed_does_not_wait_but_is_visited_as_a_whole(scene: Scene) -> None:
    """A student may make directories faster than they are visited, each with a name of its own."""
    for number in range(50_000):
        scene.walks.appeared(WS + b"/hw1/%d" % number, 90.0)
    most = 2 * scene.tree.max_directories
    assert scene.walks._new.count(WS) == most + 1
    scene.make(f"{WORKSPACE}/hw1/49999/a.c")
    scene.walk()
    scene.clock.now += SETTLE_SECONDS
    assert [look.path for look in scene.schedule.take_due(10)] == [WS + b"/hw1/49999/a.c"]


def test_below_a_directory_that_was_left_all_that_is_known_is_looked_at(scene: Scene) -> None:
    scene.known = {WS + b"/hw1/old/a.c", WS + b"/hw1/b.c"}
    scene.walks.left(WS + b"/hw1/old")
    assert scene.walks.seconds_until_visit() == 0.0
    scene.walks.go_on(0.0)
    assert scene.schedule.take_due(10) == []
    scene.clock.now += 0.5
    (look,) = scene.schedule.take_due(10)
    assert (look.path, look.recovered, look.complete) == (WS + b"/hw1/old/a.c", False, False)


def test_where_too_many_files_wait_the_rest_is_not_waited_for_and_that_is_told(scene: Scene) -> None:
    scene.make(*(f"{WORKSPACE}/hw1/{number}.c" for number in range(10)))
    scene.schedule.max_files = 4
    scene.walks.catch_up([WS], scene.ended.append)
    scene.walk()
    assert len(scene.schedule) == 4
    assert scene.tree.crowded == {WS}
    scene.look()
    assert scene.ended == [Tally(4, 0, 0)]


def test_what_is_abandoned_goes_on_no_more_and_its_ends_are_handed_over(scene: Scene) -> None:
    scene.make(f"{WORKSPACE}/hw1/a.c")
    scene.walks.catch_up([WS], scene.ended.append)
    scene.walks.appeared(b"os-1-7", 90.0)
    scene.walks.left(b"os-1-7")
    (ended,) = scene.walks.abandon()
    assert not scene.walks.is_walking
    assert scene.walks.running_since() is None
    scene.walks.looked([Done(WS + b"/hw1/a.c", True, 7)])
    assert scene.ended == []
    ended(Tally(1))
    assert scene.ended == [Tally(1)]


def test_tallies_of_the_same_files_are_added() -> None:
    tally = Tally(3, 1, 5)
    tally.add(Tally(2, 4, 1))
    assert tally == Tally(3, 5, 5)


def test_the_walk_beats_at_each_directory(root: Path, tree: WatchedTree) -> None:
    """Else a long scan would be taken for a thread that does not get on."""
    beats: list[None] = []

    def clock() -> float:
        beats.append(None)
        return 0.0

    set_clock = SetClock()
    schedule = Schedule(20, 1000, Allowances(1e6, 1e9, set_clock), set_clock)
    walks = Walks(tree, schedule, lambda _: (), lambda *_: None, Heartbeat(clock), set_clock)
    walks.catch_up([b""], lambda _: None)
    walks.go_on(1.0)
    assert len(beats) == 4


def test_a_new_directory_that_is_visited_late_is_told_of_also_where_it_is_gone_again(scene: Scene) -> None:
    scene.make(f"{WORKSPACE}/hw1/soon/a.c", f"{WORKSPACE}/hw1/late/b.c")
    scene.walks.appeared(WS + b"/hw1/soon", scene.clock.now)
    scene.walk()
    assert scene.late == []
    long_ago = scene.clock.now - LATE_SECONDS
    for name in (b"late", b"gone"):
        scene.walks.appeared(WS + b"/hw1/" + name, long_ago)
    scene.walk()
    assert scene.late == [(WS + b"/hw1/late", long_ago), (WS + b"/hw1/gone", long_ago)]
