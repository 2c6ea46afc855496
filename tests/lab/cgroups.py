"""Control groups of the lab's nodes, on machines with either version of them and with both at once."""

import os
import signal
from pathlib import Path

from lab.waiting import wait_for

_ROOT = Path("/sys/fs/cgroup")
# Of the groups of version 1, the one that systemd keeps its units in, and the one that bounds memory.
_HYBRID = ["systemd", "unified", "memory"]


def hierarchies() -> list[Path]:
    """The roots that a process has to be in a group of, so that it shares none with another node."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [_ROOT / name for name in _HYBRID if (_ROOT / name).is_dir()]


def make_groups(name: str, memory_bytes: int) -> list[Path]:
    """Make a group in every hierarchy, its memory bounded; return the files that take a process into them."""
    for root in hierarchies():
        group = root / name
        group.mkdir()
        for limit in (group / "memory.limit_in_bytes", group / "memory.max"):
            if limit.exists():
                limit.write_text(str(memory_bytes))
    return [root / name / "cgroup.procs" for root in hierarchies()]


def remove_groups(pattern: str) -> None:
    """Kill all processes in the groups whose name matches a glob pattern, and remove the groups."""
    for root in hierarchies():
        for group in root.glob(pattern):
            wait_for(lambda group=group: _killed(group), f"the processes in {group} to end")  # type: ignore[misc]
            for directory, _, _ in os.walk(group, topdown=False):
                Path(directory).rmdir()


def _killed(group: Path) -> bool:
    pids = [int(pid) for file in group.glob("**/cgroup.procs") for pid in file.read_text().split()]
    for pid in pids:
        # 0 stands for a process that this namespace does not see: it ends with its init, which is seen.
        if pid != 0:
            _kill(pid)
    return not pids


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was quicker
