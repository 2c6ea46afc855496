"""What each student's workspace may cost: fairness among students, and a bound on what one can make us write.

A token bucket each for looks and for bytes. Who has used theirs up waits; nobody else waits for them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

BURST_SECONDS = 100.0
"""So many seconds' worth may be used at once: an unpacked archive is no flood."""


@dataclass
class _Bucket:
    looks: float
    size: float
    filled_at: float


class Allowances:
    """Looks at files and bytes recorded per workspace, each at so many a second on average."""

    def __init__(
        self, looks_per_second: float, bytes_per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.looks_per_second = looks_per_second
        self.bytes_per_second = bytes_per_second
        self._clock = clock
        self._buckets: dict[bytes, _Bucket] = {}

    def use_rates(self, looks_per_second: float, bytes_per_second: float) -> None:
        """Go by these rates from now on."""
        self.looks_per_second = looks_per_second
        self.bytes_per_second = bytes_per_second

    def spend(self, workspace: bytes, looks: int, size: int = 0) -> None:
        """Take this off; bytes are known only when they have been read, so their bucket may end below zero."""
        bucket = self._filled(workspace)
        if bucket is None:
            bucket = _Bucket(*self._full(), self._clock())
            self._buckets[workspace] = bucket
        bucket.looks -= looks
        bucket.size -= size

    def seconds_until(self, workspace: bytes) -> float:
        """How long until the workspace may be looked at again; 0 where it may now."""
        bucket = self._filled(workspace)
        if bucket is None:
            return 0.0
        return max(0.0, (1.0 - bucket.looks) / self.looks_per_second, -bucket.size / self.bytes_per_second)

    def _full(self) -> tuple[float, float]:
        return self.looks_per_second * BURST_SECONDS, self.bytes_per_second * BURST_SECONDS

    def _filled(self, workspace: bytes) -> _Bucket | None:
        """The bucket with what has come in since; None where it is full, and so not kept."""
        bucket = self._buckets.get(workspace)
        if bucket is None:
            return None
        now = self._clock()
        most_looks, most_bytes = self._full()
        elapsed, bucket.filled_at = now - bucket.filled_at, now
        bucket.looks = min(most_looks, bucket.looks + elapsed * self.looks_per_second)
        bucket.size = min(most_bytes, bucket.size + elapsed * self.bytes_per_second)
        if bucket.looks == most_looks and bucket.size == most_bytes:
            del self._buckets[workspace]
            return None
        return bucket
