"""Whether the node's exports are mounted and answer.

A look at a file system whose server is gone may never come back, not even to be killed. So another process looks,
and is left behind where it does not end in time.
"""

import subprocess
import threading
from dataclasses import dataclass
from typing import Literal

from watcher_agents.mounts import Mount
from watcher_agents.node.mount_table import mounted_at

MOUNT_UNITS = {"/watcher/codes": "watcher-codes.mount", "/watcher/snapshots": "watcher-snapshots.mount"}
"""Where the exports belong, and the units that mount them there."""

_ANSWER_SECONDS = 3.0


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
    """Whether the file system at `path` answers within so many seconds."""
    look = subprocess.Popen(
        ["stat", "--file-system", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return look.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        look.kill()
        # Whenever it ends, if ever, it is reaped; nobody waits for that.
        threading.Thread(target=look.wait, daemon=True).start()
        return False
