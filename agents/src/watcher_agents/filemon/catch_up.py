"""Catching up: comparing a part of the tree with what was last captured of it, a directory at a time.

Between two directories everything else gets its turn: a tree of two hundred thousand directories holds up nobody.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from watcher_agents.filemon.capture import Done
from watcher_agents.filemon.schedule import Schedule, workspace_of
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.heartbeat import Heartbeat

VISITS_PER_SECOND = 5000.0
"""Directories visited at most; many nodes that catch up with one server at once must not stand in its way."""
_BURST_VISITS = 500.0
_QUEUE_LOAD = 2
"""So many times the directories that are followed of a workspace may wait to be visited."""
LATE_SECONDS = 1.5
"""A new directory that is visited so long after it may have appeared has had time for saves that left no trace.

Longer than the queue of events goes unread where nothing keeps the reader from it.
"""
SETTLE_SECONDS = 0.1
"""A file found in a new directory may still be open; most are closed within this time."""
DELETION_GRACE_SECONDS = 0.5
"""An editor that renames a file away and writes it anew has done so within this time; then it was no deletion."""


@dataclass
class Tally:
    """What has come of a comparison, or of several."""

    files_seen: int = 0
    """Of several comparisons the most."""
    files_recovered: int = 0
    """Files that had changed, and whose present state was recorded."""
    newest_ns: int = 0
    """When the latest of these was saved, nanoseconds since the epoch; 0 where there is none."""

    def add(self, other: "Tally") -> None:
        """Add another comparison of the same files."""
        self.files_seen = max(self.files_seen, other.files_seen)
        self.files_recovered += other.files_recovered
        self.newest_ns = max(self.newest_ns, other.newest_ns)


Ended = Callable[[Tally], None]


class _CatchUp:
    """One comparison: what it still waits for and what has come of it."""

    def __init__(self, ended: Ended, since: float) -> None:
        self.ended = ended
        self.since = since
        self.directories = 0
        self.pending: set[bytes] = set()
        self.tally = Tally()

    @property
    def is_over(self) -> bool:
        return not (self.directories or self.pending)

    def looked(self, done: Done) -> None:
        if done.path not in self.pending:
            return
        self.pending.remove(done.path)
        self.tally.files_seen += 1
        if done.saved_ns is not None and done.recovered:
            self.tally.files_recovered += 1
            self.tally.newest_ns = max(self.tally.newest_ns, done.saved_ns)


_Item = TypeVar("_Item")


class _Queues(Generic[_Item]):
    """A queue for each workspace, from which is taken in turn; what waits already is not put there again."""

    def __init__(self) -> None:
        self._queues: OrderedDict[bytes, OrderedDict[_Item, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def count(self, workspace: bytes) -> int:
        return len(self._queues.get(workspace, ()))

    def put(self, workspace: bytes, item: _Item) -> bool:
        """Whether it did not wait already."""
        items = self._queues.setdefault(workspace, OrderedDict())
        if item in items:
            return False
        items[item] = None
        return True

    def take(self) -> _Item:
        workspace, items = next(iter(self._queues.items()))
        item, _ = items.popitem(last=False)
        if items:
            self._queues.move_to_end(workspace)
        else:
            del self._queues[workspace]
        return item


class Walks:
    """Directories that wait to be visited: those that have just appeared, and those to compare, in turn."""

    def __init__(
        self,
        tree: WatchedTree,
        schedule: Schedule,
        known_beneath: Callable[[bytes], Iterable[bytes]],
        visited_late: Callable[[bytes, float], None],
        heartbeat: Heartbeat,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known_beneath`: the files that were captured once below a directory. `heartbeat`: of the thread.

        `visited_late` is told of new directories that have been there for LATE_SECONDS or more, and since when.
        """
        self._tree = tree
        self._schedule = schedule
        self._known_beneath = known_beneath
        self._visited_late = visited_late
        self._heartbeat = heartbeat
        self._clock = clock
        self._left: _Queues[bytes] = _Queues()
        self._new: _Queues[bytes] = _Queues()
        self._new_after: dict[bytes, float] = {}
        self._waiting: _Queues[tuple[bytes, _CatchUp]] = _Queues()
        self._running: list[_CatchUp] = []
        self._visits = _BURST_VISITS
        self._visits_at = clock()

    @property
    def is_walking(self) -> bool:
        """Whether directories wait to be visited."""
        return bool(self._left or self._new or self._waiting)

    def running_since(self) -> float | None:
        """When the oldest comparison that is not over began (monotonic seconds); None where there is none."""
        return self._running[0].since if self._running else None

    def appeared(self, directory: bytes, after: float) -> None:
        """Visit a directory that has appeared `after` a moment (monotonic seconds), and all below it, soon."""
        workspace = workspace_of(directory)
        if self._new.count(workspace) >= _QUEUE_LOAD * self._tree.max_directories:
            # They come and go faster than they are visited: once all of it, when its turn has come.
            directory = workspace
        self._new.put(workspace, directory)
        self._new_after.setdefault(directory, after)

    def left(self, directory: bytes) -> None:
        """Look at all that was captured below a directory that was deleted or moved away."""
        self._left.put(workspace_of(directory), directory)

    def catch_up(self, directories: Iterable[bytes], ended: Ended) -> None:
        """Compare all below these directories with what is known of it; `ended` is told what came of it.

        It may be told at once.
        """
        catch_up = _CatchUp(ended, self._clock())
        self._running.append(catch_up)
        for directory in directories:
            for path in self._known_beneath(directory):
                self._expect(path, catch_up)
            self._enter(directory, catch_up)
        self._end_where_over(catch_up)

    def _end_where_over(self, catch_up: _CatchUp) -> None:
        if catch_up.is_over:
            self._running.remove(catch_up)
            catch_up.ended(catch_up.tally)

    def _enter(self, directory: bytes, catch_up: _CatchUp) -> None:
        catch_up.directories += self._waiting.put(workspace_of(directory), (directory, catch_up))

    def _expect(self, path: bytes, catch_up: _CatchUp) -> None:
        if self._has_room(path):
            catch_up.pending.add(path)
            self._schedule.recovers(path)

    def _has_room(self, path: bytes) -> bool:
        """Whether the file may be put on the schedule; where not, that is noted."""
        is_full = self._schedule.is_full(path)
        if is_full:
            self._tree.crowded.add(workspace_of(path))
        return not is_full

    def looked(self, done: Iterable[Done]) -> None:
        """Tell of files that have been looked at."""
        for one in done:
            for catch_up in tuple(self._running):
                catch_up.looked(one)
                self._end_where_over(catch_up)

    def abandon(self) -> list[Ended]:
        """Visit nothing of what waits; whoever waits for the end of a comparison has to be told of another's."""
        running, self._running = self._running, []
        self._left, self._new, self._waiting = _Queues(), _Queues(), _Queues()
        self._new_after.clear()
        return [catch_up.ended for catch_up in running]

    def go_on(self, seconds: float) -> None:
        """Visit directories for about `seconds`, at least one if any may be visited."""
        until = self._clock() + seconds
        while self._left or self._new or (self._waiting and self._may_visit()):
            self._heartbeat.beat()
            if self._left:
                self._look_beneath(self._left.take())
            # One of each in turn: a student who makes directories without end must not hold up all others.
            if self._new:
                self._visit_new(self._new.take())
            if self._waiting and self._may_visit():
                self._visits -= 1.0
                self._visit(*self._waiting.take())
            if self._clock() >= until:
                return

    def seconds_until_visit(self) -> float | None:
        """How long until a directory may be visited; None where none waits."""
        if self._left or self._new:
            return 0.0
        if not self._waiting:
            return None
        self._refill()
        return max(0.0, (1.0 - self._visits) / VISITS_PER_SECOND)

    def _may_visit(self) -> bool:
        self._refill()
        return self._visits >= 1.0

    def _refill(self) -> None:
        now = self._clock()
        self._visits = min(_BURST_VISITS, self._visits + (now - self._visits_at) * VISITS_PER_SECOND)
        self._visits_at = now

    def _look_beneath(self, directory: bytes) -> None:
        for path in self._known_beneath(directory):
            if self._has_room(path):
                self._schedule.taken_along(path, DELETION_GRACE_SECONDS)

    def _visit_new(self, directory: bytes) -> None:
        after = self._new_after.pop(directory)
        found = self._tree.visit(directory)
        if self._clock() - after >= LATE_SECONDS:
            # Also one that is gone again: what was in it went with it.
            self._visited_late(directory, after)
        for path in found.files:
            if self._has_room(path):
                self._schedule.found(path, SETTLE_SECONDS, after)
        for below in found.directories:
            self.appeared(below, after)

    def _visit(self, directory: bytes, catch_up: _CatchUp) -> None:
        found = self._tree.visit(directory)
        for path in found.files:
            self._expect(path, catch_up)
        for below in found.directories:
            self._enter(below, catch_up)
        catch_up.directories -= 1
        self._end_where_over(catch_up)
