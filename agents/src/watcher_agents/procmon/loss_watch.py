"""Looks at the counters of losses, about once a second, and tells what they have grown by.

A program is lost once, however many of its records are: where its exec had no room, it is counted there; where
only its end had none, it is counted when the table gives it up (`ends_unseen`), and not with the record. The
kernel does not know which programs would have been reported, so the number of lost ones is the most it can be.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from watcher_agents.procmon.programs import ProgramTable
from watcher_agents.procmon.recent_losses import PARTIAL
from watcher_agents.procmon.running import start_boottime

LOOK_S = 1.0
# Losses after which the table may hold processes whose end is never told.
_LOST_ENDS = ("exit_ring_full", "probe_skipped")
_NO_PROGRAMS = (*PARTIAL, "exit_ring_full")
# A record is taken from the kernel ten times a second at least.
_ON_ITS_WAY_NS = 1_000_000_000


@dataclass(frozen=True)
class ProgramLosses:
    """Programs that were lost between two instants (ns since the epoch), and all counters since the start."""

    programs: int
    started_ns: int
    ended_ns: int
    totals: Mapping[str, int]

    def __str__(self) -> str:
        counted = " ".join(f"{cause}={count}" for cause, count in self.totals.items() if count)
        return f"since the start: {counted}"


OnLosses = Callable[[ProgramLosses], None]


class LossWatch:
    """Belongs to the thread that fills the table. `losses` gives the counters (ProcessCapture.losses)."""

    def __init__(self, table: ProgramTable, losses: Callable[[], dict[str, int]], on_losses: OnLosses) -> None:
        self._table = table
        self._losses = losses
        self._on_losses = on_losses
        self._told: dict[str, int] = {}
        self._ends = 0
        self._sweeps = 0
        self._next = time.monotonic() + LOOK_S
        self._whole_ns = self._caught_up_ns = time.time_ns()

    @property
    def whole_until_ns(self) -> int:
        """Up to when all that the kernel told has been handed over, and what it could not tell declared."""
        return min(self._whole_ns, self._caught_up_ns - _ON_ITS_WAY_NS)

    def look_where_due(self, idle: bool) -> None:
        """`idle`: no record waits."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_S
            self._look(sweep=idle, idle=idle)

    def finish(self) -> None:
        """The last look: no record is on its way any more."""
        lost_ends = self._sweeps or self._ends_lost(self._losses())
        if lost_ends:
            self._table.sweep(start_boottime)
            self._table.sweep(start_boottime)
        self._look(sweep=False, idle=True)

    def _look(self, *, sweep: bool, idle: bool) -> None:
        now = time.time_ns()
        losses = self._losses()
        if self._ends_lost(losses):
            # The record of an end may still be on its way at the first (see ProgramTable.sweep).
            self._sweeps = 2
        if self._sweeps and sweep:
            self._sweeps -= 1
            self._table.sweep(start_boottime)
            losses = self._losses()
        programs = sum(
            count - self._told.get(cause, 0) for cause, count in losses.items() if cause not in _NO_PROGRAMS
        )
        if programs:
            self._on_losses(ProgramLosses(programs, self._whole_ns, now, losses))
        self._told = losses
        if not self._sweeps:
            self._whole_ns = now
        if idle:
            self._caught_up_ns = now

    def _ends_lost(self, losses: Mapping[str, int]) -> bool:
        ends = sum(losses[cause] for cause in _LOST_ENDS)
        grown, self._ends = ends > self._ends, ends
        return grown
