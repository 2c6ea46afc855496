"""The snapshot volume: every captured version as a file of its own that is never changed again.

`<workspace>/<assignment>/<path with @>/<YYYYmmdd_HHMMSS>.<extension>` in UTC, the time at which it was saved. A
second version in the same second gets as many digits of the fraction as tell it apart. The snapshot's own mtime
is that time too, to the nanosecond: by it and by the content a repeated attempt knows its own file again, so the
same version has the same name however often, and from whichever node, it is stored.
"""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from watcher_agents.journal import about_work
from watcher_agents.mounts import read_mount_holding
from watcher_agents.spool import Content

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FRACTION_DIGITS = (0, 3, 6, 9)


class SnapshotVolume:
    """Stores contents below `root`; `node_name` keeps two nodes' unfinished files apart."""

    def __init__(self, root: Path, node_name: str) -> None:
        self._root = root
        self._mounted = self._mount()
        self._verified: tuple[int, int] | None = None
        self._unfinished_suffix = f".{node_name}.partial"

    def store(self, event_id: str, content: Content) -> str:
        """Store a version's content, on disk when it returns; its path relative to the volume's root.

        A reader never sees half a file: it is written under a hidden name and then linked into place, which,
        unlike a rename, cannot replace what is there. Raises OSError.
        """
        with self._opened_root() as root:
            directory = root / content.directory
            _make_directory(root, directory)
            unfinished = directory / f".{event_id}{self._unfinished_suffix}"
            _write(unfinished, content)
            try:
                name = _link(unfinished, directory, content)
            finally:
                unfinished.unlink()
            _sync_directory(directory)
        workspace, hw_name, _ = content.directory.split("/", 2)
        log.info(
            "snapshot created: path=%s size=%d",
            self._root / content.directory / name,
            len(content.data),
            extra=about_work(workspace, hw_name, event_id),
        )
        return f"{content.directory}/{name}"

    @contextmanager
    def _opened_root(self) -> Iterator[Path]:
        """The root by a descriptor: what is mounted there while it is in use, or taken away, changes nothing.

        Raises OSError where the volume is not mounted: its directory on the node's own disk is none of it.
        """
        fd = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            opened = (status.st_dev, status.st_ino)
            if opened != self._verified:
                if self._mount() != self._mounted:
                    raise OSError(errno.ENODEV, "the snapshot volume is not mounted", str(self._root))
                self._verified = opened
            yield Path(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)

    def _mount(self) -> tuple[str, str, str, str] | None:
        """What is mounted at the root, or above it; the same again after it was unmounted and mounted."""
        mount = read_mount_holding(self._root)
        return (mount.point, mount.type, mount.source, mount.root) if mount else None


def _make_directory(root: Path, directory: Path) -> None:
    """Make a directory below the root, itself made by whoever mounts the volume, and its parents."""
    if directory == root or directory.is_dir():
        return
    _make_directory(root, directory.parent)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o755)
    _sync_directory(directory.parent)


def _write(path: Path, content: Content) -> None:
    with path.open("wb") as file:
        file.write(content.data)
        file.flush()
        os.utime(file.fileno(), ns=(content.saved_ns, content.saved_ns))
        os.fsync(file.fileno())


def _link(unfinished: Path, directory: Path, content: Content) -> str:
    """Give the file the first name that is free, or that the same version already has."""
    for stamp in _stamps(content.saved_ns):
        name = f"{stamp}.{content.extension}"
        try:
            os.link(unfinished, directory / name)
        except FileExistsError:
            if not _is_same_version(directory / name, content):
                continue
        return name
    raise AssertionError("the names never end")


def _stamps(saved_ns: int) -> Iterator[str]:
    """Names for a version, the shortest first: 20250730_061753, then .417, .417123, .417123456, then -2, -3 …"""
    seconds, fraction = divmod(saved_ns, 1_000_000_000)
    base = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y%m%d_%H%M%S")
    for digits in _FRACTION_DIGITS:
        yield base + (f".{fraction:09d}"[: digits + 1] if digits else "")
    # The file system's clock is coarser than its timestamps: versions may share even the nanosecond.
    again = 2
    while True:
        yield f"{base}.{fraction:09d}-{again}"
        again += 1


def _is_same_version(path: Path, content: Content) -> bool:
    status = path.stat()
    return (
        status.st_mtime_ns == content.saved_ns
        and status.st_size == len(content.data)
        and path.read_bytes() == content.data
    )


def _sync_directory(directory: Path) -> None:
    """Put a directory's entries on disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
