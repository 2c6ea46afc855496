"""procmon's settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from watcher_agents.settings import AgentSettings, SettingError, lookup, read_agent_settings

METRICS_PORT = 9091
_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class ProcmonSettings:
    """What procmon needs to know."""

    agent: AgentSettings
    hostname_prefix: str
    """What the hostnames of students' pods begin with."""


def read_procmon_settings(environ: Mapping[str, str]) -> ProcmonSettings:
    """Read and check procmon's settings. Raises SettingError."""
    found = lookup(environ, ("WATCHER_HOSTNAME_PREFIX",))
    prefix = found[1] if found else "jcode-"
    if not _PREFIX.fullmatch(prefix):
        raise SettingError("WATCHER_HOSTNAME_PREFIX", prefix, "1 to 32 of a-z, 0-9 and -, such as jcode-")
    return ProcmonSettings(read_agent_settings(environ, "procmon", METRICS_PORT), prefix)
