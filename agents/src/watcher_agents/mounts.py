"""Mounts, and the way from a path as a process sees it to the path inside its file system.

Facts: mountinfo is described in proc_pid_mountinfo(5); /proc/<pid>/cwd and exe are shown from the root of that
process's mount namespace, not of the reader's. Of an NFS mount the root field is always `/` (fs/nfs/super.c,
nfs_show_path), also where it shows a sub-directory; the directory stands in the source, `server:/directory`.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

OWN_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mount: the superblock's device (major:minor), the directory of it that it shows, and where."""

    device: str
    root: str
    """Within the file system; of an NFS mount on its server."""
    point: str
    type: str
    source: str
    mount_options: tuple[str, ...]
    """Of this mount point alone."""
    file_system_options: tuple[str, ...]
    """Of the superblock, which several mounts may share."""

    @property
    def is_nfs(self) -> bool:
        """Whether it is a mount of an NFS server's export."""
        return self.type in ("nfs", "nfs4")

    @property
    def server(self) -> str:
        """Of an NFS mount the server's address, whatever name it was mounted by."""
        addresses = [option.partition("=")[2] for option in self.file_system_options if option.startswith("addr=")]
        return addresses[0] if addresses else self.source.rpartition(":/")[0]

    def is_part_of(self, export: "Mount") -> bool:
        """Whether this mount shows the same NFS export, or a directory of it; by whichever superblock."""
        same_server = self.is_nfs and export.is_nfs and self.server == export.server
        return same_server and _is_below(self.root, export.root)


def parse_mountinfo(mountinfo: str) -> list[Mount]:
    """The mounts of /proc/<pid>/mountinfo, in the order of mounting."""
    return [_mount(line) for line in mountinfo.splitlines()]


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    fields = before.split(" ")
    kind, source, options = after.split(" ")[:3]
    mount = Mount(
        device=fields[2],
        root=_unescaped(fields[3]),
        point=_unescaped(fields[4]),
        type=kind,
        source=_unescaped(source),
        mount_options=tuple(fields[5].split(",")),
        file_system_options=tuple(options.split(",")),
    )
    if not mount.is_nfs:
        return mount
    return replace(mount, root="/" + mount.source.partition(":/")[2].strip("/"))


def mount_holding(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that an absolute path without links lies in; None where no mount covers it."""
    best: Mount | None = None
    for mount in mounts:
        # Of two mounts at one point the later one hides the earlier.
        if _is_below(path, mount.point) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def read_mount_holding(path: Path) -> Mount | None:
    """The mount that a path lies in, as this process sees it now; links are not followed.

    It asks the kernel's list alone: the file system may hang, or be gone.
    """
    mounts = parse_mountinfo(OWN_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
    return mount_holding(os.path.normpath(path), mounts)


def path_in_file_system(path: str, mounts: list[Mount]) -> str:
    """`path` of a mount namespace as its file system names it; unchanged where no mount covers it."""
    best = mount_holding(path, mounts)
    if best is None:
        return path
    below = path[len(best.point.rstrip("/")) :]
    return (best.root.rstrip("/") + below).rstrip("/") or "/"


def differing_options(one: Mount, other: Mount) -> str:
    """In which options two superblocks differ: those of `one`, then those of `other`; empty where in none."""
    first, second = set(one.file_system_options), set(other.file_system_options)
    if first == second:
        return ""
    return (
        f"{','.join(sorted(first - second)) or 'nothing'} against {','.join(sorted(second - first)) or 'nothing'}"
    )


def _is_below(path: str, directory: str) -> bool:
    return directory == "/" or path == directory or path.startswith(directory + "/")


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
