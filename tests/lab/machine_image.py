"""The disk of the lab's machine: Debian with its own kernel, an NFS server, and what runs containers."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cached
from lab.commands import call
from lab.ssh import Keys
from lab.trees import OPERATOR, install, node_tree, run_in, write

_KERNEL = ["linux-image-amd64"]
_NFS = ["nfs-kernel-server", "nfs-common"]
_WATCHER_NEEDS = ["python3-bpfcc", "linux-libc-dev", "python3-systemd", "python3-venv"]
_CONTAINERS = ["podman", "crun", "conmon", "netavark", "aardvark-dns", "iptables", "catatonit"]
_STUDENT = ["gcc", "libc6-dev"]
_PACKAGES = [*_KERNEL, *_NFS, *_WATCHER_NEEDS, *_CONTAINERS, *_STUDENT]
_DISK_BYTES = 8 << 30

EXPORTS = ("/srv/export/codes", "/srv/export/snapshots")
"""The two volumes of a site, each an NFS export; the first holds the students' workspaces in `workspace/`."""

_FILES = {
    "etc/hostname": "worker-1\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 worker-1\n",
    "etc/fstab": "/dev/vda / ext4 rw,relatime 0 1\n",
    "etc/exports": "".join(
        f"{path} *(rw,no_subtree_check,no_root_squash,insecure,fsid={number})\n"
        for number, path in enumerate(EXPORTS, start=1)
    ),
    # How long a server that was restarted makes new writers wait for the clients it had: 90 s by default.
    "etc/nfs.conf.d/lab.conf": "[nfsd]\ngrace-time=10\nlease-time=10\n",
    "etc/systemd/network/10-wired.network": "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n",
    # The machine mounts its own exports: at a shutdown the mounts have to end before their server, or they hang.
    "etc/systemd/system/nfs-server.service.d/lab.conf": "[Unit]\nBefore=remote-fs-pre.target\n",
    # Only what this machine's disk needs: all drivers would take longer to unpack than the rest of the boot.
    "etc/initramfs-tools/conf.d/lab": "MODULES=list\nCOMPRESS=gzip\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
}
_FINISH = f"""\
set -eu
mkdir -p {" ".join(EXPORTS)} {EXPORTS[0]}/workspace
# Unlike in a container, the kernel has what this mounts.
rm /etc/systemd/system/run-rpc_pipefs.mount
chown -R {OPERATOR}: /home/{OPERATOR}/.ssh
rm -rf /var/cache/apt/archives/*.deb
"""
# QEMU's own name server.
_RESOLV_CONF = "nameserver 10.0.2.3\n"


@dataclass(frozen=True)
class MachineImage:
    """What a machine boots from, and the keys that let a test in. Read-only."""

    directory: Path

    @property
    def disk(self) -> Path:
        """The raw disk, an ext4 file system."""
        return self.directory / "disk.ext4"

    @property
    def kernel(self) -> Path:
        """Debian's kernel; its headers are not installed."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """What loads the disk's driver."""
        return self.directory / "initrd.img"

    @property
    def keys(self) -> Keys:
        """The keys that are on the disk."""
        return Keys(self.directory / "keys")


def machine_image() -> MachineImage:
    """The image, made where there is none: about two minutes."""
    base = node_tree()
    made_from = [base.name, _PACKAGES, _DISK_BYTES, _FILES, _FINISH, _RESOLV_CONF]
    return MachineImage(cached("machine", made_from, lambda directory: _make_image(base, directory)))


def _make_image(base: Path, directory: Path) -> None:
    keys = Keys.make(directory / "keys")
    # Inside the unfinished directory, so that it goes with it where this is killed.
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        tree = Path(scratch) / "tree"
        call("cp", "-a", "--reflink=auto", base, tree)
        for name, content in _FILES.items():
            write(tree, name, content)
        for name, (content, mode) in keys.files(f"home/{OPERATOR}").items():
            write(tree, name, content, mode)
        install(tree, _PACKAGES)
        run_in(tree, _FINISH)
        write(tree, "etc/resolv.conf", _RESOLV_CONF)
        image = MachineImage(directory)
        shutil.copyfile(tree / "vmlinuz", image.kernel)
        shutil.copyfile(tree / "initrd.img", image.initrd)
        with image.disk.open("wb") as disk:
            disk.truncate(_DISK_BYTES)
        call("mkfs.ext4", "-q", "-d", tree, image.disk)
