"""The node's mounts with where each comes from and how it was made (proc_pid_mountinfo(5))."""

from dataclasses import dataclass
from pathlib import Path

from watcher_agents.mounts import Mount, parse_mountinfo

HOST_MOUNTS = Path("/proc/1/mountinfo")
_OWN_SERVER_FIELDS = ("addr=", "clientaddr=", "mountaddr=")


@dataclass(frozen=True)
class TableEntry:
    """A mount with the type, the source and the options of its file system."""

    mount: Mount
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


def host_mounts() -> list[TableEntry]:
    """The mounts of the node itself, whatever namespace this process is in, in the order of mounting."""
    return parse_table(HOST_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))


def parse_table(mountinfo: str) -> list[TableEntry]:
    """The mounts of /proc/<pid>/mountinfo."""
    return [
        _entry(line, mount) for line, mount in zip(mountinfo.splitlines(), parse_mountinfo(mountinfo), strict=True)
    ]


def _entry(line: str, mount: Mount) -> TableEntry:
    before, _, after = line.partition(" - ")
    kind, source, options = after.split(" ")[:3]
    return TableEntry(mount, kind, source, tuple(before.split(" ")[5].split(",")), tuple(options.split(",")))


def mounted_at(point: str, table: list[TableEntry]) -> TableEntry | None:
    """What is mounted at exactly this point; of several the last, which hides the others."""
    found = None
    for entry in table:
        if entry.mount.point == point:
            found = entry
    return found


def mount_holding(path: str, table: list[TableEntry]) -> TableEntry:
    """The mount that an absolute path without links lies in."""
    best = None
    for entry in table:
        point = entry.mount.point.rstrip("/")
        covers = path == point or path.startswith(point + "/")
        if covers and (best is None or len(point) >= len(best.mount.point.rstrip("/"))):
            best = entry
    if best is None:
        raise LookupError(f"no mount holds {path}")
    return best


def pod_mount_of(export: TableEntry, table: list[TableEntry], own_directory: str) -> TableEntry | None:
    """Another mount of the same NFS export on this node, such as kubelet makes for a pod.

    `own_directory`: what is mounted below it is not a pod's.
    """
    for entry in table:
        same_export = entry.is_nfs and entry.source == export.source
        own = entry.mount.point == export.mount.point or entry.mount.point.startswith(own_directory + "/")
        if same_export and not own:
            return entry
    return None


def nfs_options(entry: TableEntry) -> str:
    """Options to mount the same export again in the same way, writable, for mount(8).

    The kernel shows more than mount takes: addresses that it found out itself, and what a security module added.
    """
    kept = [
        option
        for option in (*_without_access(entry.mount_options), *_without_access(entry.file_system_options))
        if not option.startswith(_OWN_SERVER_FIELDS) and option != "seclabel"
    ]
    return ",".join(dict.fromkeys(("rw", *kept)))


def differing_options(one: TableEntry, other: TableEntry) -> str:
    """In which options two superblocks differ: those of `one`, then those of `other`; empty where in none."""
    first, second = set(one.file_system_options), set(other.file_system_options)
    if first == second:
        return ""
    return (
        f"{','.join(sorted(first - second)) or 'nothing'} against {','.join(sorted(second - first)) or 'nothing'}"
    )


def _without_access(options: tuple[str, ...]) -> list[str]:
    return [option for option in options if option not in ("rw", "ro")]
