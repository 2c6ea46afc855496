"""The kernel's side of filemon: watches, and a thread that does nothing but empty the inotify queue.

pyinotify sets the watches. Its reader is not used: it dies on the first file name that is not UTF-8 and loses all
that it had read with it. The descriptor is read here instead; the format is inotify(7)'s `struct inotify_event`.
"""

import errno
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pyinotify

from watcher_agents.filemon.descriptor_loop import DescriptorLoop

_HEADER = struct.Struct("iIII")
_READ_BYTES = 1 << 20
_QUIET_SECONDS = 1.0
"""How often the reader makes sure that the queue is empty: no loss that is found later can have begun before."""
_PAUSE_SECONDS = 0.01
"""How long the reader waits where there is no room for more events."""

DIRECTORY_MASK: int = (
    pyinotify.IN_CREATE
    | pyinotify.IN_MOVED_FROM
    | pyinotify.IN_MOVED_TO
    | pyinotify.IN_DELETE
    | pyinotify.IN_ONLYDIR
    | pyinotify.IN_EXCL_UNLINK
)
"""What is asked of a directory that only leads to assignments."""
SOURCE_MASK: int = DIRECTORY_MASK | pyinotify.IN_CLOSE_WRITE | pyinotify.IN_MODIFY
"""What is asked of a directory that may hold source files."""


class WatchLimitReached(Exception):
    """fs.inotify.max_user_watches is used up."""


@dataclass(frozen=True, slots=True)
class InotifyEvent:
    """One event as the kernel gave it; `name` is empty where it concerns the directory itself."""

    watch: int
    mask: int
    name: bytes

    @property
    def is_directory(self) -> bool:
        """Whether the name is a directory's."""
        return bool(self.mask & pyinotify.IN_ISDIR)


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """What one read of the queue returned: events that happened after `since`, in monotonic seconds."""

    events: list[InotifyEvent]
    since: float


Put = Callable[[ReadEvents], None]


class Inotify:
    """An inotify instance. Watches are set by one thread, the queue is emptied by another."""

    def __init__(self) -> None:
        """Raises OSError where fs.inotify.max_user_instances is used up."""
        self._manager = pyinotify.WatchManager()
        self._fd: int = self._manager.get_fd()
        os.set_blocking(self._fd, False)
        self._loop = DescriptorLoop(self._fd, select.POLLIN)
        self._reading = threading.Lock()
        self.known_until = time.monotonic()
        """Everything that happened before was handed over (monotonic seconds)."""

    def watch(self, directory_fd: int, mask: int) -> int:
        """Watch the directory that this descriptor is open on, wherever its name leads by now; the watch's number.

        The same directory watched again keeps its number. Raises WatchLimitReached or OSError.
        """
        path = f"/proc/self/fd/{directory_fd}"
        try:
            (watch,) = self._manager.add_watch(path, mask, quiet=False).values()
        except pyinotify.WatchManagerError as error:
            # The error number is only in the message: "..., Errno=No space left on device (ENOSPC)".
            name = str(error).rpartition("(")[2].rstrip(")")
            if name == "ENOSPC":
                raise WatchLimitReached from error
            number = getattr(errno, name, errno.EIO)
            raise OSError(number, str(error)) from error
        return int(watch)

    def unwatch(self, watch: int) -> None:
        """Stop watching."""
        try:
            self._manager.rm_watch(watch, quiet=False)
        except pyinotify.WatchManagerError:
            # The kernel dropped it first (the directory is gone); its IN_IGNORED is on the way.
            self.forget(watch)

    def forget(self, watch: int) -> None:
        """Let go of a watch that the kernel has dropped (IN_IGNORED)."""
        if self._manager.get_watch(watch) is not None:
            self._manager.del_watch(watch)

    def read(self, put: Put, is_full: Callable[[], bool]) -> None:
        """Hand what the queue holds to `put`, which must be quick, until `stop_reading`; the reader thread's body.

        While `is_full`, events stay in the queue, where the kernel tells of those that find no room.
        """

        def take() -> None:
            if is_full():
                time.sleep(_PAUSE_SECONDS)
            else:
                self.read_now(put)

        self._loop.run(take, take, _QUIET_SECONDS)

    def read_now(self, put: Put) -> None:
        """Hand what the queue holds at this moment to `put`; for any thread, and in the order of the events."""
        with self._reading:
            since, until = self.known_until, time.monotonic()
            with suppress(BlockingIOError):
                buffer = os.read(self._fd, _READ_BYTES)
                if len(buffer) > _READ_BYTES // 2:
                    # There may be more.
                    until = since
                put(ReadEvents(parse_events(buffer), since))
            self.known_until = until

    def stop_reading(self) -> None:
        """End `read`."""
        self._loop.stop()

    def close(self) -> None:
        """Close the instance and with it every watch."""
        self._manager.close()
        self._loop.close()


def parse_events(buffer: bytes) -> list[InotifyEvent]:
    """The events in what one read returned; the kernel never cuts one in two."""
    events: list[InotifyEvent] = []
    offset = 0
    while offset < len(buffer):
        watch, mask, _cookie, length = _HEADER.unpack_from(buffer, offset)
        offset += _HEADER.size
        events.append(InotifyEvent(watch, mask, buffer[offset : offset + length].rstrip(b"\0")))
        offset += length
    return events
