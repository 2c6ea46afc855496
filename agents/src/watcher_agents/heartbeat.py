"""Whether a thread still gets on with its work, as another thread sees it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

STUCK_SECONDS = 60.0
"""A thread that works for so long without a beat, and is not waiting in the kernel, does not get on any more."""


class Heartbeat:
    """Beaten by a thread at each step of its work, rested while it waits for work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._thread: int | None = None
        self._beaten_at: float | None = None

    def beat(self) -> None:
        """Say, from the thread, that it has got on a step and goes on."""
        self._thread = threading.get_native_id()
        self._beaten_at = self._clock()

    def rest(self) -> None:
        """Say, from the thread, that it waits for work."""
        self._beaten_at = None

    @property
    def is_stuck(self) -> bool:
        """Whether the thread is at work without getting on.

        One in uninterruptible sleep is not stuck but waits for a server that hangs (proc_pid_stat(5), state D):
        a restart would not help it, and would lose what it knows.
        """
        beaten_at, thread = self._beaten_at, self._thread
        if beaten_at is None or thread is None or self._clock() - beaten_at < STUCK_SECONDS:
            return False
        return _state(thread) != "D"


def _state(thread: int) -> str:
    """The state letter of one of this process's threads; empty where it has ended."""
    try:
        stat = Path(f"/proc/self/task/{thread}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    # The name before it may hold anything, a closing bracket too.
    return stat.rpartition(")")[2].split()[0]
