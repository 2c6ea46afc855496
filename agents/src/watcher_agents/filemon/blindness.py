"""What inotify cannot see: writes through mounts that share no superblock with the watch root."""

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from watcher_agents.filemon.catch_up import Tally
from watcher_agents.filemon.source_path import student_of
from watcher_agents.gaps import Gaps, OpenGap

log = logging.getLogger(__name__)

REPEAT_SECONDS = 3600.0
"""How often it is told in the log while it lasts, and after how long a gap of it ends and another begins."""
SCAN_SECONDS = 30.0
"""How often what inotify is blind to is scanned instead, give or take a fifth: not all nodes at once."""


@dataclass
class _Blind:
    reason: str
    gap: OpenGap
    gap_until: float
    scan_at: float
    is_scanning: bool = False
    tally: Tally = field(default_factory=Tally)


class Blindness:
    """The workspaces that inotify is blind to, each with the reason; an empty name stands for all of them.

    Told once an hour while there are any, and declared as a gap each.
    """

    def __init__(self, gaps: Gaps, clock: Callable[[], float] = time.monotonic) -> None:
        self._gaps = gaps
        self._clock = clock
        self._blind: dict[bytes, _Blind] = {}
        self._told_at = -math.inf

    def __len__(self) -> int:
        return len(self._blind)

    def found(self, reasons: dict[bytes, str]) -> list[bytes]:
        """Take note of the workspaces that are blind now; those that are so no longer want a last scan."""
        for workspace, reason in reasons.items():
            known = self._blind.get(workspace)
            if known is None:
                self._blind[workspace] = self._begun(workspace, reason)
            else:
                known.reason = reason
        seeing = [workspace for workspace in self._blind if workspace not in reasons]
        for workspace in seeing:
            self._close(self._blind.pop(workspace))
        return seeing

    def _begun(self, workspace: bytes, reason: str) -> _Blind:
        now = self._clock()
        gap = self._gaps.open("blind_mount", student_of(workspace))
        return _Blind(reason, gap, now + REPEAT_SECONDS, now + _interval())

    def gaps(self) -> list[OpenGap]:
        """The gaps that are open for what is blind now."""
        return [blind.gap for blind in self._blind.values()]

    def due(self) -> list[bytes]:
        """The workspaces that are to be scanned now; `scanned` has to follow for each."""
        now = self._clock()
        due = [name for name, blind in self._blind.items() if blind.scan_at <= now and not blind.is_scanning]
        for workspace in due:
            self._blind[workspace].is_scanning = True
        return due

    def scanned(self, workspace: bytes, tally: Tally) -> None:
        """A scan has ended."""
        blind = self._blind.get(workspace)
        if blind is None:
            return
        now = self._clock()
        blind.is_scanning = False
        blind.scan_at = now + _interval()
        blind.tally.add(tally)
        if now >= blind.gap_until:
            self._close(blind)
            self._blind[workspace] = self._begun(workspace, blind.reason)

    def _close(self, blind: _Blind) -> None:
        self._gaps.close(
            blind.gap,
            files_seen=blind.tally.files_seen,
            files_recovered=blind.tally.files_recovered,
            detail=blind.reason,
        )

    def tell_where_due(self) -> None:
        """Log it, unless that was done within the last hour."""
        problem = self.problem()
        if problem and self._told_at + REPEAT_SECONDS <= self._clock():
            self._told_at = self._clock()
            log.error("%s", problem)

    def seconds_until_due(self) -> float | None:
        """How long until something has to be scanned or logged; None where there is nothing."""
        times = [blind.scan_at for blind in self._blind.values() if not blind.is_scanning]
        if self._blind:
            times.append(self._told_at + REPEAT_SECONDS)
        return max(0.0, min(times) - self._clock()) if times else None

    def problem(self) -> str | None:
        """What is not seen and why, with one workspace as the example; None where all is seen."""
        # Another thread may change it meanwhile.
        blind = dict(self._blind)
        if not blind:
            return None
        workspace, why = next(iter(blind.items()))
        named = "all" if b"" in blind else str(len(blind))
        example = workspace.decode() or "the whole export"
        return (
            f"inotify is blind to {named} workspaces: their pods' mounts share no superblock with the"
            f" watch root ({example}: {why.reason}); scanned every {SCAN_SECONDS:.0f} s instead"
        )


def _interval() -> float:
    return SCAN_SECONDS * random.uniform(0.8, 1.2)
