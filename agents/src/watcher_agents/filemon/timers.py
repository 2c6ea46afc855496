"""What has to be done at some time even if nothing happens."""

import time
from collections.abc import Callable


class Timers:
    """Named moments on the monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}

    def set(self, name: str, seconds: float) -> None:
        """Let `name` be due in so many seconds; what it was set to before is replaced."""
        self._due[name] = self._clock() + seconds

    def set_unless_set(self, name: str, seconds: float) -> None:
        """The same, unless it is set already."""
        self._due.setdefault(name, self._clock() + seconds)

    def is_set(self, name: str) -> bool:
        """Whether `name` will be due, or is."""
        return name in self._due

    def is_due(self, name: str) -> bool:
        """Whether it is time for `name`; said once for each time that it was set."""
        if self._due.get(name, float("inf")) > self._clock():
            return False
        del self._due[name]
        return True

    def seconds_until_due(self) -> float | None:
        """How long until the next; None where nothing is set."""
        return max(0.0, min(self._due.values()) - self._clock()) if self._due else None
