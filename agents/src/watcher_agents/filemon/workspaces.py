"""Which workspaces this node watches: all in the watch root, or those that pods on this node have mounted.

A node knows its pods' mounts without asking Kubernetes: kubelet makes them in the host's mount namespace, so each
stands in /proc/1/mountinfo, whose root field is the workspace's path in the export. poll(2) on that file wakes
when a pod comes or goes (proc_pid_mountinfo(5)).
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from watcher_agents.filemon.descriptor_loop import DescriptorLoop
from watcher_agents.filemon.source_path import is_workspace
from watcher_agents.mounts import (
    OWN_MOUNTS,
    Mount,
    differing_options,
    mount_holding,
    parse_mountinfo,
    path_in_file_system,
    read_mount_holding,
)

Mode = Literal["pods", "all"]
Mounted = dict[bytes, frozenset[str]]
"""Workspaces by name, each with the points that it is mounted at."""

_HOST_MOUNTS = "/proc/1/mountinfo"
_KUBELET_PODS = Path("/var/lib/kubelet/pods")


def choose_mode(setting: str, kubelet_pods: Path = _KUBELET_PODS) -> Mode:
    """The mode that `auto` stands for on this node: `pods` where kubelet keeps pods, else `all`."""
    if setting == "auto":
        return "pods" if kubelet_pods.is_dir() else "all"
    return "pods" if setting == "pods" else "all"


@dataclass(frozen=True)
class Found:
    """The workspaces mounted now; of those whose mount inotify is blind to, why."""

    workspaces: Mounted
    blind: dict[bytes, str]
    """An empty name stands for all: pods have the whole export by a mount that inotify is blind to."""


class PodMounts:
    """The workspaces that are mounted by themselves somewhere on this node, as each pod's is."""

    def __init__(self, watch_root: Path) -> None:
        """Raises OSError where the mounts cannot be read."""
        self._watch_root = watch_root
        self._fd = os.open(_HOST_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        self._loop = DescriptorLoop(self._fd, select.POLLPRI | select.POLLERR)

    def root_mount(self) -> Mount | None:
        """The mount that the watch root lies in now, as this process sees it."""
        return read_mount_holding(self._watch_root)

    def look(self) -> Found:
        """What is mounted now."""
        return self.found(OWN_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"), self._read())

    def found(self, own_mountinfo: str, host_mountinfo: str) -> Found:
        """What is mounted by the mountinfo of this process and of the node."""
        own_mounts = parse_mountinfo(own_mountinfo)
        watch_root = os.path.realpath(self._watch_root)
        own = mount_holding(watch_root, own_mounts)
        parent = PurePosixPath(path_in_file_system(watch_root, own_mounts))
        points: dict[bytes, set[str]] = {}
        blind = {}
        blind_to_all: dict[str, str] = {}
        pods_of_one = set()
        for mount in parse_mountinfo(host_mountinfo) if own else ():
            name = _shown(PurePosixPath(mount.root), parent, mount.point)
            if own is None or name is None:
                continue
            if mount.device != own.device:
                if not (mount.is_nfs and own.is_nfs and mount.server == own.server):
                    continue
                # The same directory of the same server by another superblock: inotify does not cross that.
                differ = differing_options(mount, own) or "nothing that is shown"
                reason = f"mounted at {mount.point} with {differ}"
                if name:
                    blind[name] = reason
                else:
                    blind_to_all[_pod(mount.point)] = reason
            if name:
                points.setdefault(name, set()).add(mount.point)
                pods_of_one.add(_pod(mount.point))
        # For a subPath kubelet mounts the whole volume, too, but the pod's container gets the workspace alone.
        for pod, reason in blind_to_all.items():
            if pod not in pods_of_one:
                blind[b""] = reason
        return Found({name: frozenset(found) for name, found in points.items()}, blind)

    def _read(self) -> str:
        os.lseek(self._fd, 0, os.SEEK_SET)
        chunks = []
        while chunk := os.read(self._fd, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "surrogateescape")

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every change of the node's mounts until `stop`; the body of a thread."""
        self._loop.run(changed)

    def stop(self) -> None:
        """End `watch`."""
        self._loop.stop()

    def close(self) -> None:
        """Let go of the files."""
        self._loop.close()
        os.close(self._fd)


def _shown(root: PurePosixPath, workspaces: PurePosixPath, point: str) -> bytes | None:
    """The workspace that a mount of `root` shows; empty for a pod's mount of all of them, None for another's."""
    name = os.fsencode(root.name)
    if root.parent == workspaces and is_workspace(name):
        return name
    holds_all = root == workspaces or root in workspaces.parents
    return b"" if holds_all and PurePosixPath(point).is_relative_to(_KUBELET_PODS) else None


def _pod(point: str) -> str:
    """The directory of the pod that kubelet made a mount for; empty for any other mount."""
    path = PurePosixPath(point)
    return path.relative_to(_KUBELET_PODS).parts[0] if path.is_relative_to(_KUBELET_PODS) else ""
