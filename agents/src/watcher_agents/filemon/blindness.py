"""What inotify cannot see: writes through mounts that share no superblock with the watch root."""

import logging
import math
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

REPEAT_SECONDS = 3600.0
"""How often blindness is told in the log while it lasts."""


class Blindness:
    """The workspaces that inotify is blind to, each with the reason, told once an hour while there are any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reasons: dict[bytes, str] = {}
        self._told_at = -math.inf

    def __len__(self) -> int:
        return len(self._reasons)

    def found(self, reasons: dict[bytes, str]) -> None:
        """Take note of the workspaces that are blind now."""
        self._reasons = reasons

    def tell_where_due(self) -> None:
        """Log it, unless that was done within the last hour."""
        problem = self.problem()
        if problem and self.seconds_until_due() == 0:
            self._told_at = self._clock()
            log.error("%s", problem)

    def seconds_until_due(self) -> float | None:
        """How long until it has to be logged; None where there is nothing to tell."""
        return max(0.0, self._told_at + REPEAT_SECONDS - self._clock()) if self._reasons else None

    def problem(self) -> str | None:
        """What is not seen and why, with one workspace as the example; None where all is seen."""
        # Another thread may exchange it meanwhile.
        reasons = self._reasons
        if not reasons:
            return None
        workspace, why = next(iter(reasons.items()))
        return (
            f"inotify is blind to {len(reasons)} workspaces: their pods' mounts share no superblock with the"
            f" watch root ({workspace.decode()}: {why})"
        )
