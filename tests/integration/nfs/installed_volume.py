"""A disk that holds what the release archives install: made here in seconds, not there in minutes."""

from pathlib import Path

from integration.release.release_build import REPOSITORY, archives_of, release
from lab.commands import call

PLACE = "/opt/watcher"
"""Where the machine has to mount it: the programs in it name their interpreter by this path."""

_DISK_BYTES = 512 << 20
_VENV_OPTIONS = {"agents": "--system-site-packages", "backend": ""}
# In a mount namespace of its own, so that the disk's files have the place here that they have there. As on a node:
# Debian's Python, no network, none of this machine's settings.
_INSTALL = f"""\
set -eu
mount -t tmpfs tmpfs /opt
mkdir {PLACE}
mount --bind "$1" {PLACE}
mkdir -p {PLACE}/$2
cd {PLACE}/$2
tar -xzf "$3" --strip-components=1
/usr/bin/python3 -m venv $4 venv
env --ignore-environment PATH=/usr/bin:/bin HOME=/nonexistent PIP_CONFIG_FILE=/dev/null venv/bin/pip install \
    --quiet --disable-pip-version-check --ignore-installed \
    --no-index --find-links wheels --require-hashes --requirement requirements.txt
rm -r wheels
"""


def release_root(distribution: str) -> str:
    """The release root of `agents` or `backend` on the machine, in the words of the roles."""
    return f"{PLACE}/{distribution}"


def installed_volume(directory: Path) -> Path:
    """Build this checkout's releases, install both as a node does, and make a disk of it, below `directory`."""
    tree = directory / "tree"
    tree.mkdir()
    archives = archives_of(release("--source", REPOSITORY, "--output", directory / "dist"))
    for archive, (distribution, options) in zip(archives, _VENV_OPTIONS.items(), strict=True):
        place = f"{distribution}/current"
        call("unshare", "--mount", "--net", "sh", "-c", _INSTALL, "sh", tree, place, archive, options)
    disk = directory / "installed.ext4"
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    call("mkfs.ext4", "-q", "-d", tree, disk)
    return disk
