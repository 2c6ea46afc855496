"""What files a node holds, to compare before and after."""

import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

NOT_COMPARED = (
    "dev",
    "proc",
    "run",
    "srv",  # the volumes: not the node's
    "sys",
    "tmp",
    "var/cache",
    "var/lib/apt/lists",
    "var/lib/systemd/timers",  # when a timer last ran
    "var/log",
    "var/tmp",
)
"""Directories whose content changes on a node that nobody touches."""

LEFT_OUT = (
    "home/operator/.ansible",  # where Ansible copies its modules to, whatever it does on a node
    "root/.ansible",
    "var/lib/dpkg/status-old",  # dpkg's copy of what was before its last change
)
"""Paths that are not listed at all."""

FileList = dict[str, str]
"""By path, without a leading slash: type, mode, owner, size, and what the content is."""


def list_files(root: Path, excluded: Collection[str] = NOT_COMPARED) -> FileList:
    """All files and directories under `root`, without what lies in the excluded directories."""
    found: FileList = {}
    for directory, directories, files in os.walk(root):
        place = Path(directory).relative_to(root)
        directories[:] = [name for name in directories if str(place / name) not in LEFT_OUT]
        listed = [name for name in files if str(place / name) not in LEFT_OUT]
        for name in sorted([*directories, *listed]):
            found[str(place / name)] = _describe(Path(directory) / name)
        directories[:] = [name for name in directories if str(place / name) not in excluded]
    return dict(sorted(found.items()))


def difference(before: FileList, after: FileList) -> list[str]:
    """What differs, a line a path: `+` added, `-` removed, `~` changed from what to what."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            lines.append(f"+ {path}: {after[path]}")
        elif path not in after:
            lines.append(f"- {path}: {before[path]}")
        elif before[path] != after[path]:
            lines.append(f"~ {path}: {before[path]} -> {after[path]}")
    return lines


def _describe(path: Path) -> str:
    status = path.lstat()
    described = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{described} -> {path.readlink()}"
    if stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        return f"{described} {status.st_size} bytes sha256 {digest}"
    return described
