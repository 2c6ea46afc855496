"""`watcher-agent status`: how the node's agents and mounts are."""

import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from watcher_agents.condition import PROBLEM
from watcher_agents.node.agent_metrics import AgentMetrics, MetricsUnavailable, scrape
from watcher_agents.node.installed_agents import AGENTS, Agent, environment_of, metrics_port
from watcher_agents.node.mount_state import MOUNT_UNITS, MountState, mount_state
from watcher_agents.node.mount_table import host_mounts
from watcher_agents.node.services import UnitState, unit_state
from watcher_agents.settings import SettingError, lookup

CURRENT_RELEASE = Path("/opt/watcher/current")


@dataclass(frozen=True)
class AgentStatus:
    """One agent; None where the agent does not tell."""

    active: str
    status: str
    ready: bool
    release: str | None
    restarts: int
    since: str | None
    spool_events: int | None
    spool_bytes: int | None
    rejected_events: int | None
    last_event_at: str | None
    problems: list[str]


@dataclass(frozen=True)
class NodeStatus:
    """The whole node. `release` is the one that is switched to; `problems` are the node's own."""

    node: str
    release: str | None
    agents: dict[str, AgentStatus]
    mounts: dict[str, MountState]
    problems: list[str]

    @property
    def well(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return not self.problems and not any(agent.problems for agent in self.agents.values())

    def as_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return asdict(self)


def node_status() -> NodeStatus:
    """Ask systemd, the agents and the kernel. Raises SystemdError."""
    name = socket.gethostname()
    release = current_release(CURRENT_RELEASE)
    agents = {}
    for agent in AGENTS.values():
        unit = unit_state(agent.unit)
        if unit is None:
            continue
        environ = environment_of(unit.main_pid) if unit.main_pid else {}
        named = lookup(environ, ("WATCHER_NODE_NAME",))
        name = named[1] if named else name
        metrics: AgentMetrics | str = "no process runs"
        if unit.main_pid:
            try:
                metrics = scrape(metrics_port(agent, environ))
            except (MetricsUnavailable, SettingError) as error:
                metrics = str(error)
        agents[agent.name] = agent_status(agent, unit, metrics, release)
    table = host_mounts()
    mounts = {point: mount_state(point, table) for point in MOUNT_UNITS}
    problems = [] if agents else ["no agent is installed: neither watcher-filemon nor watcher-procmon is a unit"]
    problems += [
        f"{point} is {mount.state}: systemctl status {MOUNT_UNITS[point]}"
        for point, mount in mounts.items()
        if mount.state == "hung" or (mount.state == "absent" and unit_state(MOUNT_UNITS[point]) is not None)
    ]
    return NodeStatus(name, release, agents, mounts, problems)


def current_release(link: Path) -> str | None:
    """The release that is switched to, None where there is none."""
    try:
        return os.path.basename(os.readlink(link))  # noqa: PTH115, PTH119  # the target's name as it is written
    except FileNotFoundError:
        return None


def agent_status(agent: Agent, unit: UnitState, metrics: AgentMetrics | str, release: str | None) -> AgentStatus:
    """One agent's status; `metrics` is the reason where there are none, `release` what the node is switched to."""
    problems = []
    if unit.active != "active":
        problems.append(f"{agent.unit} is {unit.active} ({unit.sub}): journalctl -u {agent.unit}")
    if unit.status.startswith(PROBLEM):
        problems.append(unit.status.removeprefix(PROBLEM))
    if isinstance(metrics, str):
        if unit.active == "active":
            problems.append(f"no metrics: {metrics}")
        metrics = AgentMetrics([])
    else:
        problems += _problems_of(metrics, release)
    last = metrics.value("watcher_last_event_timestamp_seconds")
    return AgentStatus(
        active=unit.active,
        status=unit.status,
        ready=metrics.ready,
        release=metrics.release,
        restarts=unit.restarts,
        since=_iso(unit.since),
        spool_events=metrics.count("watcher_spool_events"),
        spool_bytes=metrics.count("watcher_spool_bytes"),
        rejected_events=metrics.count("watcher_spool_rejected_events"),
        last_event_at=_iso(datetime.fromtimestamp(last, timezone.utc)) if last else None,
        problems=problems,
    )


def _problems_of(metrics: AgentMetrics, release: str | None) -> list[str]:
    problems = []
    if not metrics.ready:
        problems.append("not ready: it does not capture yet")
    if release is not None and metrics.release != release:
        problems.append(f"runs release {metrics.release}, the node is switched to {release}: restart it")
    for name, text in (
        ("watcher_spool_rejected_events", "events that the backend refused are set aside"),
        ("watcher_blind_workspaces", "workspaces are blind: their pods' mounts do not share filemon's superblock"),
        (
            "watcher_inotify_unwatched",
            "directories cannot be watched (fs.inotify.max_user_watches), scanned instead",
        ),
        ("watcher_probe_losses_total", "records of programs were lost (watcher_probe_losses_total says why)"),
    ):
        number = metrics.count(name)
        if number:
            problems.append(f"{number} {text}")
    return problems


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
