"""Whether a thread still gets on with its work, as another thread sees it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

SILENT_SECONDS = 60.0
"""A thread that works for so long without a beat does not get on."""

_UNINTERRUPTIBLE = "D"


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
        """Whether the thread is at work without getting on, by its own fault.

        One in uninterruptible sleep (proc_pid_stat(5), state D) is not: it waits for a server that hangs. A
        restart would not help it, and would lose what it knows.
        """
        thread = self._silent_thread()
        return thread is not None and thread_state(thread) != _UNINTERRUPTIBLE

    def problem(self) -> str | None:
        """In what way the thread does not get on; None where it does, or rests."""
        thread = self._silent_thread()
        if thread is None:
            return None
        if thread_state(thread) == _UNINTERRUPTIBLE:
            return f"capture waits for more than {SILENT_SECONDS:.0f} s for a file system that does not answer"
        return f"capture has not got on for {SILENT_SECONDS:.0f} s"

    def _silent_thread(self) -> int | None:
        """The thread, where it works and has not beaten for too long."""
        beaten_at = self._beaten_at
        silent = beaten_at is not None and self._clock() - beaten_at >= SILENT_SECONDS
        return self._thread if silent else None


def thread_state(thread: int) -> str:
    """The state letter of one of this process's threads; empty where it has ended."""
    try:
        stat = Path(f"/proc/self/task/{thread}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The name before it may hold anything, a closing bracket too.
    return stat.rpartition(")")[2].split()[0]
