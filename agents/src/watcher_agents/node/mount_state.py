"""Whether the node's exports are mounted and answer."""

import subprocess
from dataclasses import dataclass
from typing import Literal

from watcher_agents.mounts import Mount
from watcher_agents.node.deadline import run_to_deadline
from watcher_agents.node.mount_table import mounted_at

MOUNT_UNITS = {"/watcher/codes": "watcher-codes.mount", "/watcher/snapshots": "watcher-snapshots.mount"}
"""Where the exports belong, and the units that mount them there."""

_ANSWER_SECONDS = 3.0
_LOOK = ("stat", "--file-system", "--")


@dataclass(frozen=True)
class MountState:
    """A mount point as it is; source, type and options are None where nothing is mounted."""

    state: Literal["mounted", "absent", "hung"]
    source: str | None = None
    type: str | None = None
    options: str | None = None


def mount_state(point: str, table: list[Mount]) -> MountState:
    """The state of a mount point."""
    entry = mounted_at(point, table)
    if entry is None:
        return MountState("absent")
    state: Literal["mounted", "hung"] = "mounted" if answers(point) else "hung"
    options = dict.fromkeys((*entry.mount_options, *entry.file_system_options))
    return MountState(state, entry.source, entry.type, ",".join(options))


def answers(path: str, seconds: float = _ANSWER_SECONDS) -> bool:
    """Whether the file system at `path` answers, without an error, within so many seconds."""
    try:
        return run_to_deadline((*_LOOK, path), seconds).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def hangs(path: str, seconds: float = _ANSWER_SECONDS) -> bool:
    """Whether not even an error comes back from the file system at `path`, which need not exist."""
    try:
        run_to_deadline((*_LOOK, path), seconds)
    except subprocess.TimeoutExpired:
        return True
    return False
