"""`watcher-agent health`: whether an agent that was just started does its work.

That a service is active says little: this also wants the agent's own word that it captures, the release that was
switched to, no crash in between, and a spool that empties.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from watcher_agents.node.agent_metrics import AgentMetrics, MetricsUnavailable, scrape
from watcher_agents.node.installed_agents import Agent, environment_of, metrics_port
from watcher_agents.node.services import SystemdError, UnitState, last_lines, unit_state
from watcher_agents.settings import SettingError

_PAUSE_SECONDS = 0.5
_JOURNAL_LINES = 5


@dataclass(frozen=True)
class Look:
    """An agent at one moment; `metrics` is the reason where there are none."""

    unit: UnitState
    metrics: AgentMetrics | str


class HealthGate:
    """Judges one look after the other."""

    def __init__(self, agent: Agent, release: str) -> None:
        """`release`: the one that must run."""
        self._agent = agent
        self._release = release
        self._restarts: int | None = None
        self._process = 0
        self._backlog: tuple[int, int] | None = None

    def final(self, look: Look) -> str | None:
        """What is wrong beyond hope of getting better by waiting, None where nothing is."""
        unit = look.unit
        if unit.active == "failed":
            return f"{self._agent.unit} failed"
        if self._restarts is None:
            self._restarts = unit.restarts
        replaced = self._process and unit.main_pid and unit.main_pid != self._process
        self._process = unit.main_pid or self._process
        if unit.restarts > self._restarts or replaced:
            return f"{self._agent.unit} ended and was started again meanwhile"
        return None

    def missing(self, look: Look) -> str | None:
        """What is not well yet, None where all is."""
        if look.unit.active != "active":
            return f"{self._agent.unit} is {look.unit.active} ({look.unit.sub}), not active"
        if isinstance(look.metrics, str):
            return look.metrics
        if look.metrics.release != self._release:
            return f"release {look.metrics.release} runs, not {self._release}"
        if not look.metrics.ready:
            return "watcher_ready is 0: it does not capture yet"
        return self._stuck(look.metrics)

    def _stuck(self, metrics: AgentMetrics) -> str | None:
        waiting = metrics.count("watcher_spool_events") or 0
        delivered = metrics.count("watcher_delivered_events_total") or 0
        before = self._backlog
        self._backlog = self._backlog or (waiting, delivered)
        if not waiting or (before and (waiting < before[0] or delivered > before[1])):
            return None
        return f"{waiting} events wait and none was delivered: the backend does not take them"


def take_look(agent: Agent) -> Look | None:
    """Ask systemd and the agent; None where the node does not have this agent. Raises SystemdError."""
    unit = unit_state(agent.unit)
    if unit is None:
        return None
    if not unit.main_pid:
        return Look(unit, "no process runs")
    try:
        return Look(unit, scrape(metrics_port(agent, environment_of(unit.main_pid))))
    except (MetricsUnavailable, SettingError) as error:
        return Look(unit, str(error))


def wait_for_health(
    agent: Agent, release: str, seconds: float, look: Callable[[Agent], Look | None]
) -> str | None:
    """Look until the agent is well; after `seconds`, or where it is hopeless, what is wrong in one line.

    `release`: the one that must run. Raises SystemdError.
    """
    gate = HealthGate(agent, release)
    deadline = time.monotonic() + seconds
    while True:
        seen = look(agent)
        if seen is None:
            return f"{agent.unit} is not installed on this node"
        problem = gate.final(seen)
        if problem is None:
            problem = gate.missing(seen)
            if problem is None:
                return None
            if time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                continue
            problem = f"{problem} (after {seconds:g} s)"
        return f"{problem}; it says: {seen.unit.status or 'nothing'}"


def journal_excerpt(agent: Agent) -> list[str]:
    """The agent's last journal lines, for whoever has to find out why."""
    try:
        return last_lines(agent.unit, _JOURNAL_LINES)
    except SystemdError as error:
        return [str(error)]
