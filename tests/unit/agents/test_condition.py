"""The status line says that all is well, or first of all what is not."""

import sqlite3
from pathlib import Path

from lab import spooling
from watcher_agents.condition import Condition
from watcher_agents.heartbeat import SILENT_SECONDS, Heartbeat
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase


def add(state: StateDatabase, spool: Spool, *names: str, at: float) -> None:
    spooling.add(state, spool, *map(spooling.version, names))
    with state.transaction() as transaction:
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


def test_a_spool_that_is_nearly_full_is_a_problem(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, "a", at=1795478400.0)
    held = spool.backlog().bytes
    assert "full" not in Condition(Spool(state, 2 * held)).line()
    assert Condition(Spool(state, held)).line().startswith("PROBLEM spool is 100 % full: ")


def test_a_spool_that_cannot_be_read_is_told_and_not_raised(
    state: StateDatabase, spool: Spool, tmp_path: Path
) -> None:
    condition = Condition(spool)
    condition.add_check(state.problem)
    with state.reading() as connection:
        connection.execute("ALTER TABLE holding RENAME TO elsewhere")
    assert condition.line() == "PROBLEM spool cannot be read: no such table: holding | starting"


def test_a_transaction_that_failed_is_told_until_one_goes_well(state: StateDatabase, spool: Spool) -> None:
    condition = Condition(spool)
    condition.add_check(state.problem)
    with state.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    try:
        add(state, spool, "a", at=0.0)
    except sqlite3.OperationalError:
        assert condition.line().startswith(
            "PROBLEM spool cannot be written: attempt to write a readonly database | starting"
        )
    else:
        raise AssertionError("a read-only database was written")
    with state.reading() as connection:
        connection.execute("PRAGMA query_only = OFF")
    add(state, spool, "a", at=1795478400.0)
    assert condition.line().startswith("starting; 1 events wait")
