"""From the kernel's clock to UTC."""

import os
import time
from datetime import datetime, timedelta, timezone

# The unit in which /proc tells when a process began, in ns.
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TRIES = 5


class BootClock:
    """Converts boot time (CLOCK_BOOTTIME, ns: runs through suspends, is never stepped) to UTC.

    The kernel stamps processes with boot time only. What boot time 0 is in UTC changes whenever the wall clock is
    set, so it is asked anew for every conversion, and instants that belong together (a program's start and end)
    are converted with one answer: their difference is then the true duration, and the end, which is now, is right.
    """

    def utc(self, *boottimes: int) -> tuple[datetime, ...]:
        """UTC of each boot time, to the microsecond, all by one reading of the wall clock."""
        offset = _realtime_minus_boottime()
        return tuple(_EPOCH + timedelta(microseconds=(boottime + offset) // 1000) for boottime in boottimes)


def _realtime_minus_boottime() -> int:
    """In ns. Two clocks cannot be read at once: of several tries the one that took least time errs least."""
    best: tuple[int, int] | None = None
    for _ in range(_TRIES):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        real = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        attempt = (after - before, real - (before + after) // 2)
        best = attempt if best is None else min(best, attempt)
    assert best is not None
    return best[1]
