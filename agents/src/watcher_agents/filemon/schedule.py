"""When each changed file is looked at."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from watcher_agents.filemon.capture import Look


@dataclass
class _Waiting:
    due: float
    since: float
    recovered: bool
    complete: bool


class Schedule:
    """Files waiting for a look, each once, by the monotonic time in seconds at which it is due.

    A file that waits longer than `longest_wait` since it was first put here is due, whatever keeps postponing it.
    """

    def __init__(self, longest_wait: float, clock: Callable[[], float]) -> None:
        self.longest_wait = longest_wait
        self._clock = clock
        self._waiting: dict[bytes, _Waiting] = {}
        self._heap: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, path: bytes, delay: float, *, complete: bool = False, recovered: bool = False) -> bool:
        """Look at `path` in `delay` seconds; what was planned for it before is replaced.

        `complete`: a save was completed. Returns whether another completed save of the file was still waiting:
        unless the two are alike, its content is lost.
        """
        now = self._clock()
        entry = self._waiting.get(path)
        since = entry.since if entry else now
        due = min(now + delay, since + self.longest_wait)
        was_complete = entry is not None and entry.complete
        self._waiting[path] = _Waiting(due, since, recovered, complete or was_complete)
        # A postponed file keeps its place in the heap and is moved when that comes up: a file that is written
        # a million times before it is due costs one place, not a million.
        if entry is None or due < entry.due:
            heapq.heappush(self._heap, (due, path))
        return complete and was_complete

    def put_back(self, look: Look, delay: float) -> None:
        """Look once more in `delay` seconds, unless something newer is planned for the file."""
        if look.path not in self._waiting:
            now = self._clock()
            self._waiting[look.path] = _Waiting(now + delay, look.since, look.recovered, False)
            heapq.heappush(self._heap, (now + delay, look.path))

    def take_due(self, limit: int) -> list[Look]:
        """Take up to `limit` files that are due, the longest due first."""
        now = self._clock()
        looks: list[Look] = []
        while self._heap and len(looks) < limit and self._heap[0][0] <= now:
            _, path = heapq.heappop(self._heap)
            entry = self._waiting.get(path)
            if entry is None:
                continue
            if entry.due > now:
                heapq.heappush(self._heap, (entry.due, path))
                continue
            del self._waiting[path]
            final = now - entry.since >= self.longest_wait
            looks.append(Look(path, entry.recovered, final, entry.since))
        return looks

    def seconds_until_due(self) -> float | None:
        """How long until something may be due; None where nothing waits."""
        return max(0.0, self._heap[0][0] - self._clock()) if self._heap else None
