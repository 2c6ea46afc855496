"""Mounts, and the way from a path as a process sees it to the path inside its file system.

Facts: mountinfo is described in the kernel's Documentation/filesystems/proc.rst; /proc/<pid>/cwd and exe are shown
from the root of that process's mount namespace, not of the reader's.
"""

import re
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mount: the superblock's device (major:minor), the directory of it that it shows, and where."""

    device: str
    root: str
    point: str


def parse_mountinfo(mountinfo: str) -> list[Mount]:
    """The mounts of /proc/<pid>/mountinfo, in the order of mounting."""
    mounts = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        mounts.append(Mount(fields[2], _unescaped(fields[3]), _unescaped(fields[4])))
    return mounts


def path_in_file_system(path: str, mounts: list[Mount]) -> str:
    """`path` of a mount namespace as its file system names it; unchanged where no mount covers it."""
    best: Mount | None = None
    for mount in mounts:
        # Of two mounts at one point the later one hides the earlier.
        if _is_below(path, mount.point) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    if best is None:
        return path
    below = path[len(best.point.rstrip("/")) :]
    return (best.root.rstrip("/") + below).rstrip("/") or "/"


def _is_below(path: str, directory: str) -> bool:
    return directory == "/" or path == directory or path.startswith(directory + "/")


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
