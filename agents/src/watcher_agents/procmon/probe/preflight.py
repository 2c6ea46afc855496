"""Whether this machine can carry the probe, told before anything is loaded."""

import os
import re
from pathlib import Path

from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.probe.headers import UAPI

_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39
_RING_BUFFER_SINCE = (5, 8)


def check_machine() -> None:
    """Raise ProbeError, with what is missing, where the probe cannot be loaded here."""
    _check_kernel(os.uname().release)
    _check_capabilities(Path("/proc/self/status").read_text())
    if not (UAPI / "linux/types.h").exists():
        raise ProbeError(f"package linux-libc-dev is missing: {UAPI}/linux/types.h does not exist")


def _check_kernel(release: str) -> None:
    version = re.match(r"(\d+)\.(\d+)", release)
    if version is not None and (int(version[1]), int(version[2])) < _RING_BUFFER_SINCE:
        raise ProbeError(f"kernel {release} has no BPF ring buffer: it takes 5.8 or later")


def _check_capabilities(status: str) -> None:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    effective = int(found[1], 16) if found else 0

    def has(capability: int) -> bool:
        return bool(effective >> capability & 1)

    if not has(_CAP_SYS_ADMIN) and not (has(_CAP_BPF) and has(_CAP_PERFMON)):
        raise ProbeError("the probe needs root, or the capabilities CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)")
