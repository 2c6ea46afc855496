"""The health gate: what lets a roll-out go on, what makes it wait, and what stops it at once."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from watcher_agents.node.agent_metrics import AgentMetrics
from watcher_agents.node.health import HealthGate, Look, wait_for_health
from watcher_agents.node.installed_agents import AGENTS
from watcher_agents.node.services import UnitState

FILEMON = AGENTS["filemon"]


def metrics(ready: int = 1, release: str = "0.2.0", waiting: int = 0, delivered: int = 0) -> AgentMetrics:
    text = (
        f'watcher_ready {ready}\nwatcher_agent_info{{release="{release}"}} 1\nwatcher_spool_events {waiting}\n'
        f'# TYPE watcher_delivered_events counter\nwatcher_delivered_events_total{{status="stored"}} {delivered}\n'
    )
    return AgentMetrics(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def look(
    shown: AgentMetrics | str, active: str = "active", pid: int = 7, restarts: int = 0, status: str = ""
) -> Look:
    return Look(UnitState(active, "running", status, pid, restarts, None), shown)


def judged(*looks: Look, seconds: float = 0.0) -> str | None:
    """What the gate says of these looks, the last of which is seen again and again."""
    waiting: Iterator[Look] = iter(looks)
    last = looks[-1]
    return wait_for_health(FILEMON, "0.2.0", seconds, lambda agent: next(waiting, last))


def test_an_agent_that_is_ready_with_an_empty_spool_is_well() -> None:
    assert judged(look(metrics())) is None


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (look(metrics(), active="activating"), "is activating (running), not active"),
        (look("http://127.0.0.1:9090/metrics does not answer: refused"), "does not answer: refused"),
        (look(metrics(release="0.1.0")), "release 0.1.0 runs, not 0.2.0"),
        (look(metrics(ready=0)), "watcher_ready is 0"),
        (look(metrics(waiting=5)), "5 events wait and none was delivered"),
        (look(metrics(ready=0), status="PROBLEM no backend"), "it says: PROBLEM no backend"),
    ],
)
def test_what_is_not_well_is_named_with_the_agents_own_words(seen: Look, said: str) -> None:
    problem = judged(seen)
    assert problem is not None
    assert said in problem
    assert "\n" not in problem


def test_it_waits_for_an_agent_that_becomes_well() -> None:
    steps = (look("no process runs", "activating", pid=0), look(metrics(ready=0)), look(metrics()))
    assert judged(*steps, seconds=30.0) is None


@pytest.mark.parametrize("later", [metrics(waiting=900, delivered=1), metrics(waiting=899), metrics()])
def test_a_backlog_is_well_once_it_moves(later: AgentMetrics) -> None:
    assert judged(look(metrics(waiting=900)), look(later), seconds=30.0) is None


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (look(metrics(), restarts=4, pid=8), "was started again meanwhile"),
        (look(metrics(), restarts=3, pid=8), "was started again meanwhile"),
        (look("no process runs", active="failed", pid=0), "watcher-filemon.service failed"),
    ],
)
def test_an_agent_that_ended_meanwhile_is_not_waited_for(seen: Look, said: str) -> None:
    problem = judged(look(metrics(ready=0), restarts=3), seen, seconds=3600.0)
    assert problem is not None
    assert said in problem


def test_restarts_before_the_first_look_do_not_count() -> None:
    assert HealthGate(FILEMON, "0.2.0").final(look(metrics(), restarts=12)) is None


def test_an_agent_that_is_not_installed_is_named() -> None:
    problem = wait_for_health(FILEMON, "0.2.0", 0.0, lambda agent: None)
    assert problem == "watcher-filemon.service is not installed on this node"
