"""A thread's wait on one file descriptor, which another thread can end."""

import os
import select
from collections.abc import Callable


class DescriptorLoop:
    """Calls back whenever `fd` has one of the poll(2) `events`; the descriptor stays its owner's."""

    def __init__(self, fd: int, events: int) -> None:
        self._fd = fd
        self._events = events
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(
        self,
        ready: Callable[[], None],
        quiet: Callable[[], None] = lambda: None,
        quiet_seconds: float | None = None,
    ) -> None:
        """Call `ready` each time until `stop`, and `quiet` after so many seconds without; the body of a thread."""
        poll = select.poll()
        poll.register(self._fd, self._events)
        poll.register(self._wake_read, select.POLLIN)
        timeout = None if quiet_seconds is None else quiet_seconds * 1000
        while True:
            woken = {fd for fd, _ in poll.poll(timeout)}
            if self._wake_read in woken:
                return
            if woken:
                ready()
            else:
                quiet()

    def stop(self) -> None:
        """End `run`."""
        os.write(self._wake_write, b"\0")

    def close(self) -> None:
        """Let go of what the waiting takes."""
        os.close(self._wake_read)
        os.close(self._wake_write)
