"""Students' pods on the machine, as far as its mounts tell of them: those that kubelet and the CSI driver make."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.machine import Machine

CSI_OPTIONS = "vers=4.1,noresvport,timeo=600,retrans=5,softerr"
"""What Longhorn's CSI driver mounts an RWX volume with."""


@dataclass(frozen=True)
class Pod:
    """A student's pod: the volume, mounted for it alone, and the student's workspace on it, bound by a subPath."""

    machine: Machine
    workspace: str
    directory: str
    """kubelet's, of this pod."""
    enter: str = ""
    """The words that make a command run in the mounts of the pod's node, where that is not the machine itself."""

    @property
    def volume(self) -> str:
        """Where the whole volume is."""
        return f"{self.directory}/volumes/kubernetes.io~csi/pvc-codes/mount"

    @property
    def project(self) -> str:
        """Where the student's workspace is, which is all that the container gets."""
        return f"{self.directory}/volume-subpaths/pvc-codes/code-server/0"

    def save(self, path: str, content: str) -> None:
        """Save a file, named from the workspace, as the student."""
        self.machine.login.run(
            f"mkdir -p $(dirname {self.project}/{path}) && cat >{self.project}/{path}", text=content
        )

    def device(self) -> str:
        """The superblock that the student writes to."""
        return self.machine.ssh(f"stat --format=%d {self.project}").stdout.strip()


def start_pod(machine: Machine, export: str, workspace: str, options: str = CSI_OPTIONS, enter: str = "") -> Pod:
    """Mount the export (`address:/path`) for a pod as its node does; `enter` as in Pod."""
    pod = Pod(machine, workspace, f"/var/lib/kubelet/pods/{uuid.uuid4()}", enter)
    mount_pod(pod, export, options)
    return pod


def mount_pod(pod: Pod, export: str, options: str = CSI_OPTIONS) -> None:
    """Mount what a pod has; the workspace is made where there is none, owned by the machine's user."""
    workspace = f"{pod.volume}/workspace/{pod.workspace}"
    pod.machine.ssh(
        f"sudo {pod.enter} sh -ec 'mkdir -p {pod.volume} {pod.project};"
        f" mount -t nfs4 -o {options} {export} {pod.volume};"
        f" install --directory --owner $SUDO_UID --group $SUDO_GID {workspace};"
        f" mount --bind {workspace} {pod.project}'"
    )


def unmount_pod(pod: Pod, how: str = "") -> None:
    """Take away what a pod has mounted, as kubelet does at its end; `how`: options of umount."""
    pod.machine.ssh(f"sudo {pod.enter} umount {how} {pod.project} {pod.volume}")


@contextmanager
def running_pod(machine: Machine, export: str, workspace: str, options: str) -> Iterator[Pod]:
    """A pod that ends: its mounts go, as kubelet takes them away."""
    pod = start_pod(machine, export, workspace, options)
    try:
        yield pod
    finally:
        unmount_pod(pod)
        machine.ssh(f"sudo rm --recursive --one-file-system {pod.directory}")
