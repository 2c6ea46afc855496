"""Reading a snapshot's content from the volume, without ever leaving it.

The path comes from an agent's event. Every component is opened by itself, relative to its parent and
without following links, so neither ``..`` nor a link (also one that is put there meanwhile) leads out.
"""

import errno
import os
import stat
from pathlib import Path

# Far above the size that filemon keeps; a bound on memory all the same.
MAX_CONTENT_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO without a writer would wait for ever.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class VolumeUnavailableError(Exception):
    """The snapshot volume is not mounted or cannot be read."""


class SnapshotMissingError(Exception):
    """There is no such snapshot on the volume; the text says what was found instead."""


def read_snapshot(root: Path, snapshot_path: str) -> bytes:
    """Return the content of the snapshot at ``snapshot_path`` (components joined with /) below ``root``.

    Raises SnapshotMissingError where there is no regular file of at most MAX_CONTENT_BYTES by that name, and
    VolumeUnavailableError where the volume itself fails.
    """
    *directories, name = snapshot_path.split("/")
    if any(component in ("", ".", "..") for component in (*directories, name)):
        raise SnapshotMissingError("the event names no path below the snapshot root")
    try:
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise VolumeUnavailableError(f"the snapshot volume cannot be opened: {error.strerror}") from error
    try:
        for component in directories:
            parent, directory = directory, _open(component, _OPEN_DIRECTORY, directory)
            os.close(parent)
        return _read_file(name, directory)
    finally:
        os.close(directory)


def _read_file(name: str, directory: int) -> bytes:
    file = _open(name, _OPEN_FILE, directory)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise SnapshotMissingError("what stands there is no regular file")
        content = bytearray()
        while len(content) <= MAX_CONTENT_BYTES and (
            piece := os.read(file, min(_PIECE_BYTES, MAX_CONTENT_BYTES + 1 - len(content)))
        ):
            content += piece
    except OSError as error:
        raise VolumeUnavailableError(f"the snapshot cannot be read: {error.strerror}") from error
    finally:
        os.close(file)
    if len(content) > MAX_CONTENT_BYTES:
        raise SnapshotMissingError(f"what stands there is longer than {MAX_CONTENT_BYTES} bytes")
    return bytes(content)


def _open(component: str, flags: int, directory: int) -> int:
    try:
        return os.open(component, flags, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            raise SnapshotMissingError("it is not on the snapshot volume") from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            raise SnapshotMissingError("its path leads over a link or something that is no file") from error
        raise VolumeUnavailableError(f"the snapshot volume cannot be read: {error.strerror}") from error
