"""The backend's image on a disk that the machine has from its start: it takes minutes to be loaded in there."""

from pathlib import Path

from integration.release.container_image import IMAGE, ImageStorage
from lab.commands import call

DEVICE = "/dev/vdb"
_PLACE = "/srv/images"
_DISK_BYTES = 2 << 30
_STORAGE = f"""\
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
[storage.options]
additionalimagestores = ["{_PLACE}"]
"""

MOUNT = f"""\
set -eu
mkdir -p {_PLACE}
echo '{DEVICE} {_PLACE} ext4 ro,noload 0 0' >>/etc/fstab
mount {_PLACE}
cat >/etc/containers/storage.conf <<'END'
{_STORAGE}END
"""
"""Lets the machine's podman run what is on the disk."""


def image_volume(directory: Path, tag: str) -> Path:
    """Build the image as it is for a cluster, and make a disk that is a container storage with it alone."""
    built = directory / "built"
    built.mkdir()
    storage = ImageStorage(built)
    disk, store = directory / "images.ext4", directory / "store"
    try:
        storage.prepare()
        name = storage.build(tag)
        storage.buildah("push", name, f"containers-storage:[overlay@{store}+{directory / 'run'}]{IMAGE}:{tag}")
    finally:
        storage.remove()
    # The storage keeps itself private by a mount.
    call("umount", store / "overlay")
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    call("mkfs.ext4", "-q", "-d", store, disk)
    call("rm", "--recursive", "--one-file-system", store)
    return disk
