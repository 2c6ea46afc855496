"""Which losses an operator should hear of: those of programs, for a while after they happened."""

import time
from collections.abc import Callable, Mapping

RECENT_SECONDS = 3600.0
"""How long after the last loss it is told. For ever would teach operators to overlook it; the metric stays."""

PARTIAL = ("exe_unreadable", "cwd_unreadable", "argv_unreadable")
"""Losses of a part of a record: the program is recorded all the same. A student can bring them about at will."""


class RecentLosses:
    """Told the losses since the start at each look, it keeps those that are new until none came for an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._settled: dict[str, int] = {}
        self._latest: dict[str, int] = {}
        self._grew_at: float | None = None

    def problem(self, losses: Mapping[str, int]) -> str | None:
        """What was lost lately, by cause (see ProcessCapture.losses); None where nothing was."""
        now = self._clock()
        programs = {cause: count for cause, count in losses.items() if cause not in PARTIAL}
        if any(count > self._latest.get(cause, 0) for cause, count in programs.items()):
            self._grew_at = now
        elif self._grew_at is not None and now - self._grew_at >= RECENT_SECONDS:
            self._grew_at, self._settled = None, programs
        self._latest = programs
        if self._grew_at is None:
            return None
        recent = {cause: count - self._settled.get(cause, 0) for cause, count in programs.items()}
        causes = " ".join(f"{cause}={count}" for cause, count in recent.items() if count)
        return f"programs lost, last {now - self._grew_at:.0f} s ago: {causes}"
