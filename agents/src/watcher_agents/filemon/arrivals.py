"""What reaches the monitor's thread from the others: inotify events, changed mounts, new rules, the stop."""

import queue
import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from watcher_agents.filemon.inotify import ReadEvents
from watcher_agents.filemon.rules import FileRules

EVENTS_LIMIT = 100_000
"""Events held at once, some 20 MB; beyond, the kernel holds its queue's worth and then tells of an overflow."""


@dataclass(frozen=True)
class NewRules:
    """Rules to go by from now on."""

    rules: FileRules


class Notice(Enum):
    """What needs no more than its name."""

    MOUNTS_CHANGED = auto()
    STOP = auto()


Arrival = ReadEvents | NewRules | Notice


class Arrivals:
    """A queue into which any thread puts, and from which one takes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._events = 0
        self._read_after: deque[float] = deque()
        self._mounts_changed = False

    @property
    def is_full(self) -> bool:
        """Whether so many events wait that no more should be read for now."""
        return self._events >= EVENTS_LIMIT

    def put_events(self, read: ReadEvents) -> None:
        """Hand over what was read."""
        with self._lock:
            self._events += len(read.events)
            self._read_after.append(read.since)
            self._queue.put(read)

    def oldest_after(self) -> float | None:
        """After which moment all events that wait here happened (monotonic seconds); None where none wait."""
        with self._lock:
            return self._read_after[0] if self._read_after else None

    def put_rules(self, rules: FileRules) -> None:
        """Hand over new rules."""
        self._queue.put(NewRules(rules))

    def mounts_changed(self) -> None:
        """Say that the node's mounts have changed; said again before it was taken, it is said once."""
        with self._lock:
            said, self._mounts_changed = self._mounts_changed, True
        if not said:
            self._queue.put(Notice.MOUNTS_CHANGED)

    def stop(self) -> None:
        """Say that it is time to stop."""
        self._queue.put(Notice.STOP)

    def get(self, timeout: float | None) -> Arrival | None:
        """The next, after waiting for at most `timeout` seconds (None: for ever); None where there is none."""
        try:
            arrival = self._queue.get(timeout != 0, timeout)
        except queue.Empty:
            return None
        with self._lock:
            if isinstance(arrival, ReadEvents):
                self._events -= len(arrival.events)
                self._read_after.popleft()
            elif arrival is Notice.MOUNTS_CHANGED:
                self._mounts_changed = False
        return arrival

    def __len__(self) -> int:
        """How much waits: reads, not events."""
        return self._queue.qsize()
