"""The node's mounts with where each comes from and how it was made (proc_pid_mountinfo(5))."""

from pathlib import Path

from watcher_agents.mounts import Mount, parse_mountinfo

HOST_MOUNTS = Path("/proc/1/mountinfo")
_OWN_SERVER_FIELDS = ("addr=", "clientaddr=", "mountaddr=")


def host_mounts() -> list[Mount]:
    """The mounts of the node itself, whatever namespace this process is in, in the order of mounting."""
    return parse_mountinfo(HOST_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))


def mounted_at(point: str, table: list[Mount]) -> Mount | None:
    """What is mounted at exactly this point; of several the last, which hides the others."""
    found = None
    for entry in table:
        if entry.point == point:
            found = entry
    return found


def pod_mount_of(export: Mount, table: list[Mount], own_directory: str) -> Mount | None:
    """Another mount of the same NFS export on this node, such as kubelet makes for a pod.

    `own_directory`: what is mounted below it is not a pod's.
    """
    for entry in table:
        same_export = entry.is_part_of(export)
        own = entry.point == export.point or entry.point.startswith(own_directory + "/")
        if same_export and not own:
            return entry
    return None


def nfs_options(entry: Mount) -> str:
    """Options to mount the same export again in the same way, writable, for mount(8).

    The kernel shows more than mount takes: addresses that it found out itself, and what a security module added.
    """
    kept = [
        option
        for option in (*_without_access(entry.mount_options), *_without_access(entry.file_system_options))
        if not option.startswith(_OWN_SERVER_FIELDS) and option != "seclabel"
    ]
    return ",".join(dict.fromkeys(("rw", *kept)))


def _without_access(options: tuple[str, ...]) -> list[str]:
    return [option for option in options if option not in ("rw", "ro")]
