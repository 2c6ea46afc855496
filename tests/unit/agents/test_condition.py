"""The status line says that all is well, or first of all what is not."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents.condition import Condition
from watcher_agents.heartbeat import SILENT_SECONDS, Heartbeat
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDatabase]:
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as database:
        yield database


@pytest.fixture
def spool(state: StateDatabase) -> Spool:
    return Spool(state)


def add(state: StateDatabase, spool: Spool, *names: str, at: float) -> None:
    with state.transaction() as transaction:
        spool.append(transaction, [({"id": name}, None) for name in names])
        transaction.execute("UPDATE newest SET recorded_at = ?", (at,))


def test_all_well(state: StateDatabase, spool: Spool) -> None:
    condition = Condition(spool)
    condition.work = lambda: "watching 3 workspaces"
    condition.add_check(lambda: None)
    assert condition.line() == "watching 3 workspaces; 0 events wait; no event yet"
    add(state, spool, "a", "b", at=1795478400.0)
    assert condition.line() == "watching 3 workspaces; 2 events wait; last event 2026-11-24 00:00:00 UTC"


def test_problems_stand_first_and_events_set_aside_are_one(state: StateDatabase, spool: Spool) -> None:
    condition = Condition(spool)
    condition.add_check(lambda: "backend failing for 3 s (refused)")
    condition.add_check(lambda: None)
    add(state, spool, "a", "b", at=1795478400.0)
    spool.settle(acknowledged=[], rejected=[(spool.ready(1, 100)[0], "no such class")])
    assert condition.line() == (
        "PROBLEM backend failing for 3 s (refused); 1 events that the backend refused are set aside"
        " | starting; 1 events wait; last event 2026-11-24 00:00:00 UTC"
    )


def test_a_thread_that_does_not_get_on_is_a_problem_and_the_agent_is_stuck(spool: Spool) -> None:
    now = 0.0
    beats = Heartbeat(lambda: now)
    condition = Condition(spool)
    condition.add_heartbeat(beats)
    beats.beat()
    assert not condition.is_stuck
    now = SILENT_SECONDS
    assert condition.is_stuck
    assert condition.line().startswith("PROBLEM capture has not got on for 60 s | ")
