"""When each changed file is looked at, and whose turn it is."""

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from watcher_agents.filemon.allowances import Allowances


class Activity(Enum):
    """What events have told of a file that does not yet show in a look."""

    NONE = auto()
    WRITING = auto()
    """It has been written to since it was last complete."""
    CHANGED = auto()
    """A save was completed, or it was deleted."""


@dataclass(frozen=True, slots=True)
class Look:
    """A file to look at."""

    path: bytes
    """Below the watch root."""
    recovered: bool = False
    """Found by comparing the tree with what was last captured, rather than by an event."""
    final: bool = False
    """Whether to take the file as it is, although it changes while it is read."""
    complete: bool = False
    """Whether a save was completed, and so a version is lost if this look comes too late."""
    since: float = 0.0
    """Monotonic seconds at which the file began to wait."""
    after: float = 0.0
    """Monotonic seconds after which all happened that the file waits for."""


@dataclass(slots=True)
class _Waiting:
    due: float
    since: float
    after: float
    placed: float = 0.0
    """The earliest time at which it comes up."""
    recovered: bool = False
    complete: bool = False
    writing: bool = False


class Schedule:
    """Files waiting for a look, each once, by the monotonic time in seconds at which it is due.

    A file that waits longer than `longest_wait` since it was first put here is due, whatever keeps postponing it.
    Of the files that are due, workspaces get theirs in turn, as far as their allowance goes.

    The methods that take note of an event tell, where a completed save was waiting that can no longer be read,
    after which moment it was saved (monotonic seconds); None where none was.
    """

    def __init__(
        self, longest_wait: float, max_files: int, allowances: Allowances, clock: Callable[[], float]
    ) -> None:
        self.longest_wait = longest_wait
        self.max_files = max_files
        """Of one workspace, that may wait at once."""
        self._allowances = allowances
        self._clock = clock
        self._waiting: dict[bytes, _Waiting] = {}
        self._heap: list[tuple[float, bytes]] = []
        self._ready: OrderedDict[bytes, deque[bytes]] = OrderedDict()
        self._count: Counter[bytes] = Counter()
        self._oldest_returned: float | None = None
        self.events_after = clock()
        """After which moment the events happened that are being noted (monotonic seconds)."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: bytes) -> bool:
        return path in self._waiting

    def is_full(self, path: bytes) -> bool:
        """Whether so many files of the workspace wait that this one, which does not, must not be put here."""
        return path not in self._waiting and self._count[workspace_of(path)] >= self.max_files

    def completed(self, path: bytes) -> None:
        """The writer has closed the file."""
        entry = self._put(path, 0.0)
        entry.complete, entry.writing, entry.recovered = True, False, False

    def replaced(self, path: bytes) -> float | None:
        """A whole file was moved into place."""
        entry = self._put(path, 0.0)
        lost, entry.complete = entry.complete, True
        entry.writing = entry.recovered = False
        return entry.after if lost else None

    def written(self, path: bytes, quiet: float) -> float | None:
        """The file is being written, or was made; to be looked at after `quiet` seconds unless more happens."""
        entry = self._put(path, quiet)
        lost, entry.complete = entry.complete, False
        entry.writing, entry.recovered = True, False
        return entry.after if lost else None

    def vanished(self, path: bytes, grace: float) -> float | None:
        """The file was deleted or moved away; to be looked at after `grace` seconds unless more happens."""
        entry = self._put(path, grace)
        lost, entry.complete = entry.complete, False
        entry.writing = entry.recovered = False
        return entry.after if lost else None

    def recovers(self, path: bytes) -> None:
        """The file is to be compared with what is known of it; where it waits already, that stays as it is."""
        if path not in self._waiting:
            self._put(path, 0.0).recovered = True

    def found(self, path: bytes, delay: float, after: float) -> None:
        """The file stood in a directory that is new since `after`; where it waits already, that stays as it is.

        Taken for a completed save: most are, and of one that is not, one save too many counts as lost.
        """
        if path not in self._waiting:
            entry = self._put(path, delay)
            entry.complete, entry.after = True, min(entry.after, after)

    def taken_along(self, path: bytes, grace: float) -> None:
        """A directory above the file was deleted or moved away; where it waits already, that stays as it is."""
        if path not in self._waiting:
            self._put(path, grace)

    def _put(self, path: bytes, delay: float) -> _Waiting:
        now = self._clock()
        entry = self._waiting.get(path)
        if entry is None:
            entry = _Waiting(now + delay, now, min(now, self.events_after))
            self._add(path, entry)
            return entry
        due = min(now + delay, entry.since + self.longest_wait)
        # A postponed file keeps its place and is moved when that comes up: a file that is written a million times
        # before it is taken costs one place, not a million.
        entry.due = due
        if due < entry.placed:
            self._place(path, entry)
        return entry

    def _add(self, path: bytes, entry: _Waiting) -> None:
        self._waiting[path] = entry
        self._count[workspace_of(path)] += 1
        self._place(path, entry)

    def _place(self, path: bytes, entry: _Waiting) -> None:
        entry.placed = entry.due
        heapq.heappush(self._heap, (entry.due, path))

    def put_back(self, look: Look, delay: float) -> None:
        """Look once more in `delay` seconds, unless something newer is planned for the file."""
        entry = self._waiting.get(look.path)
        if entry is None:
            now = self._clock()
            entry = _Waiting(now + delay, look.since, look.after, recovered=look.recovered, complete=look.complete)
            self._add(look.path, entry)
        entry.since = min(entry.since, look.since)
        entry.after = min(entry.after, look.after)
        self._oldest_returned = min(self._oldest_returned or entry.after, entry.after)

    def activity(self, path: bytes) -> Activity:
        """What events have told of a file since it was last taken."""
        entry = self._waiting.get(path)
        if entry is None:
            return Activity.NONE
        return Activity.WRITING if entry.writing else Activity.CHANGED

    def take_due(self, limit: int) -> list[Look]:
        """Take up to `limit` files that are due, of each workspace in turn the longest due first."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            _, path = heapq.heappop(self._heap)
            self._ready.setdefault(workspace_of(path), deque()).append(path)
        looks: list[Look] = []
        skipped = 0
        while skipped < len(self._ready) and len(looks) < limit:
            workspace, paths = next(iter(self._ready.items()))
            look = None
            if self._allowances.seconds_until(workspace) == 0:
                look = self._take(paths, now)
            if not paths:
                del self._ready[workspace]
            else:
                self._ready.move_to_end(workspace)
            if look is None:
                skipped += bool(paths)
                continue
            skipped = 0
            self._allowances.spend(workspace, 1)
            looks.append(look)
        if not self._waiting:
            self._oldest_returned = None
        return looks

    def _take(self, paths: deque[bytes], now: float) -> Look | None:
        """The first of these paths that is due."""
        while paths:
            path = paths.popleft()
            entry = self._waiting.get(path)
            if entry is None:
                continue
            if entry.due > now:
                # Else this place was left by the one before, and its own is yet to come up.
                if entry.placed <= now:
                    self._place(path, entry)
                continue
            del self._waiting[path]
            workspace = workspace_of(path)
            self._count[workspace] -= 1
            if not self._count[workspace]:
                del self._count[workspace]
            final = now - entry.since >= self.longest_wait
            return Look(path, entry.recovered, final, entry.complete, entry.since, entry.after)
        return None

    def is_out_of_allowance(self, path: bytes) -> bool:
        """Whether the file's workspace has to wait because it has used its allowance up."""
        return self._allowances.seconds_until(workspace_of(path)) > 0

    def seconds_until_due(self) -> float | None:
        """How long until something may be due; None where nothing waits."""
        waits = [self._allowances.seconds_until(workspace) for workspace in self._ready]
        if self._heap:
            waits.append(max(0.0, self._heap[0][0] - self._clock()))
        return min(waits, default=None)

    def oldest_after(self) -> float | None:
        """After which moment all of what waits happened, about (monotonic seconds); None where nothing waits."""
        # In the order of arrival, except for what was put back.
        first = next(iter(self._waiting.values()), None)
        if first is None:
            return None
        return first.after if self._oldest_returned is None else min(first.after, self._oldest_returned)


def workspace_of(path: bytes) -> bytes:
    """The workspace that a path below the watch root lies in."""
    return path.partition(b"/")[0]
