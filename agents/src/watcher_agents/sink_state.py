"""How one of delivery's sinks is at present, as the main thread sees it."""

import time
from collections.abc import Callable

HANG_SECONDS = 30.0
"""A sink that takes so long over one batch is taken to hang: a volume whose server is gone never fails."""


class SinkState:
    """Written by the thread that serves the sink, read by any."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._begun_at: float | None = None
        self._failure: tuple[float, str] | None = None

    def begun(self) -> None:
        """An attempt begins."""
        self._begun_at = self._clock()

    def failed(self, reason: str) -> None:
        """The attempt failed."""
        since, _ = self._failure or (self._begun_at or self._clock(), "")
        self._failure = (since, reason)
        self._begun_at = None

    def succeeded(self) -> None:
        """The attempt went well."""
        self._failure = self._begun_at = None

    def problem(self) -> str | None:
        """Since when the sink fails or hangs, and why, in a few words; None where it does not."""
        now, failure, begun_at = self._clock(), self._failure, self._begun_at
        if begun_at is not None and now - begun_at >= HANG_SECONDS:
            return f"{self.name} has not answered for {now - begun_at:.0f} s, nothing is lost"
        if failure is not None:
            since, reason = failure
            return f"{self.name} failing for {now - since:.0f} s ({reason}), nothing is lost"
        return None
