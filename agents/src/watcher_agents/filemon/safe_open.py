"""Opening what a student names, as root, without being led elsewhere.

openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS decides it in the kernel, in one step: no symbolic link at
any level is followed, however fast it is swapped in, and nothing outside the watch root is reached.
RESOLVE_NO_XDEV keeps bind mounts and /proc out. A file is first opened with O_PATH, which touches nothing (no
FIFO blocks, no device is woken), and read only when it proves to be a regular file.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SYS_OPENAT2 = 437
"""The number on every architecture (the generic table; since Linux 5.6)."""
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_TRIES = 8
"""EAGAIN says that a directory was renamed during the resolution; trying again is the remedy (openat2(2))."""
_CHUNK = 1 << 16

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclass(frozen=True)
class FileState:
    """What identifies the state of a file on disk: bytes, nanoseconds since the epoch, inode number."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True)
class FileContent:
    """A regular file as read; `content` is None where it is larger than the limit."""

    state: FileState
    content: bytes | None
    steady: bool
    """Whether the file stayed as it was while it was read."""


def open_beneath(root_fd: int, relative: bytes, flags: int) -> int:
    """Open `relative` below the directory `root_fd`, following no link and no mount. Raises OSError."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_XDEV)
    for _ in range(_TRIES):
        fd: int = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(root_fd),
            ctypes.c_char_p(relative),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), os.fsdecode(relative))


@contextmanager
def directory_beneath(root_fd: int, relative: bytes) -> Iterator[int | None]:
    """A descriptor of the directory at `relative`, closed after the block; None where there is none (now).

    An empty `relative` is the root itself. Raises OSError for what is neither.
    """
    with _opened(root_fd, relative or b".", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW) as path_fd:
        yield path_fd


@contextmanager
def _opened(root_fd: int, relative: bytes, flags: int) -> Iterator[int | None]:
    try:
        fd = open_beneath(root_fd, relative, flags)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def state_beneath(root_fd: int, relative: bytes) -> FileState | None:
    """The state of the regular file at `relative`; None where there is no such file (now). Raises OSError."""
    with _regular_file_beneath(root_fd, relative) as path_fd:
        return None if path_fd is None else _state(os.fstat(path_fd))


def read_beneath(root_fd: int, relative: bytes, limit: int) -> FileContent | None:
    """Read the regular file at `relative`, at most `limit` bytes; None where there is no such file (now).

    Raises OSError for what is neither: an I/O error, a stale handle, no permission.
    """
    with _regular_file_beneath(root_fd, relative) as path_fd:
        if path_fd is None:
            return None
        # The same inode again, now for reading; O_NONBLOCK so that a lease on the file cannot hold us.
        fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return _read(fd, limit)
    finally:
        os.close(fd)


@contextmanager
def _regular_file_beneath(root_fd: int, relative: bytes) -> Iterator[int | None]:
    with _opened(root_fd, relative, os.O_PATH | os.O_NOFOLLOW) as path_fd:
        yield path_fd if path_fd is not None and stat.S_ISREG(os.fstat(path_fd).st_mode) else None


def _read(fd: int, limit: int) -> FileContent:
    before = _state(os.fstat(fd))
    if before.size > limit:
        return FileContent(before, None, steady=True)
    chunks: list[bytes] = []
    left = limit + 1
    while left > 0:
        chunk = os.read(fd, min(left, _CHUNK))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    after = _state(os.fstat(fd))
    content = b"".join(chunks)
    return FileContent(
        after,
        content if len(content) <= limit else None,
        steady=before == after and len(content) == after.size,
    )


def _state(status: os.stat_result) -> FileState:
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
