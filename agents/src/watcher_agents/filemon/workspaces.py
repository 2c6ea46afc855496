"""Which workspaces this node watches: all in the watch root, or those that pods on this node have mounted.

A node knows its pods' mounts without asking Kubernetes: kubelet makes them in the host's mount namespace, so each
stands in /proc/1/mountinfo, whose root field is the workspace's path in the export. poll(2) on that file wakes
when a pod comes or goes (proc_pid_mountinfo(5)).
"""

import os
import select
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal

from watcher_agents.filemon.descriptor_loop import DescriptorLoop
from watcher_agents.filemon.source_path import is_workspace
from watcher_agents.mounts import parse_mountinfo, path_in_file_system

Mode = Literal["pods", "all"]

_HOST_MOUNTS = "/proc/1/mountinfo"
_OWN_MOUNTS = Path("/proc/self/mountinfo")
_KUBELET_PODS = Path("/var/lib/kubelet/pods")


def choose_mode(setting: str, kubelet_pods: Path = _KUBELET_PODS) -> Mode:
    """The mode that `auto` stands for on this node: `pods` where kubelet keeps pods, else `all`."""
    if setting == "auto":
        return "pods" if kubelet_pods.is_dir() else "all"
    return "pods" if setting == "pods" else "all"


class PodMounts:
    """The workspaces that are mounted by themselves somewhere on this node, as each pod's is."""

    def __init__(self, watch_root: Path) -> None:
        """Raises OSError where the mounts cannot be read."""
        self._watch_root = watch_root
        self._fd = os.open(_HOST_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        self._loop = DescriptorLoop(self._fd, select.POLLPRI | select.POLLERR)

    def workspaces(self) -> frozenset[bytes]:
        """Names of the workspaces mounted now."""
        own = parse_mountinfo(_OWN_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
        parent = PurePosixPath(path_in_file_system(os.path.realpath(self._watch_root), own))
        names = set()
        for mount in parse_mountinfo(self._read()):
            root = PurePosixPath(mount.root)
            if root.parent == parent and is_workspace(os.fsencode(root.name)):
                names.add(os.fsencode(root.name))
        return frozenset(names)

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
