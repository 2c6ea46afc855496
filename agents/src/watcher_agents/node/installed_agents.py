"""The agents of this node: their units, and the settings that a running one was started with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from watcher_agents.filemon.settings import METRICS_PORT as FILEMON_PORT
from watcher_agents.procmon.settings import METRICS_PORT as PROCMON_PORT
from watcher_agents.settings import port

_PROC = Path("/proc")


@dataclass(frozen=True)
class Agent:
    """An agent that a node may have."""

    name: str
    default_metrics_port: int

    @property
    def unit(self) -> str:
        """The name of its service."""
        return f"watcher-{self.name}.service"


AGENTS = {agent.name: agent for agent in (Agent("filemon", FILEMON_PORT), Agent("procmon", PROCMON_PORT))}


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty where the process is gone.

    Raises PermissionError without the right to look into it.
    """
    try:
        text = (_PROC / str(pid) / "environ").read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(entry.partition("=")[::2] for entry in text.split("\0") if entry)


def metrics_port(agent: Agent, environ: Mapping[str, str]) -> int:
    """Where an agent with this environment serves its metrics. Raises SettingError."""
    return port(environ, "WATCHER_METRICS_PORT", agent.default_metrics_port)
