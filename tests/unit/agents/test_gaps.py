"""Gaps: declared once, whatever ends the agent, and "whole until" never claims what is not so."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client import CollectorRegistry

from lab.spooling import OCCURRED_NS, add, version
from watcher_agents import losses
from watcher_agents.gaps import GATHER_AGAIN_SECONDS, GATHER_SECONDS, Gaps
from watcher_agents.identity import student_of_workspace
from watcher_agents.losses import Loss
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/wire/event-v1.schema.json").read_text())
STUDENT = student_of_workspace("os-1-202012180")
_SECOND = 1_000_000_000


class Clock:
    """The wall clock in nanoseconds and the monotonic one in seconds; both go on only when told."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * _SECOND
        self.monotonic = 100.0

    def go(self, seconds: float) -> None:
        self.wall += int(seconds * _SECOND)
        self.monotonic += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def start(state: StateDatabase, spool: Spool, clock: Clock) -> Gaps:
    """An agent's gaps, as at its start."""
    return Gaps(
        state, spool, "filemon", "worker-1", CollectorRegistry(), lambda: clock.wall, lambda: clock.monotonic
    )


def declared(spool: Spool) -> list[dict[str, Any]]:
    """What waits in the spool, each as the contract wants it."""
    events = [event.body | {"sequence": event.sequence} for event in spool.ready(100, 1 << 20)]
    for event in events:
        jsonschema.validate(event, SCHEMA, cls=jsonschema.Draft202012Validator)
    return events


def declared_gaps(spool: Spool) -> list[dict[str, Any]]:
    return [event for event in declared(spool) if event["type"] == "gap"]


def test_the_first_start_declares_nothing(state: StateDatabase, spool: Spool, clock: Clock) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.settle(final=True)
    assert declared(spool) == []


def test_the_time_between_two_runs_is_a_gap(state: StateDatabase, spool: Spool, clock: Clock) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.settle()
    clock.go(3600)
    # Not stopped in order: "whole until" is what was noted at the last tick.
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.settle()
    (event,) = declared(spool)
    assert event["cause"] == "agent_stopped"
    assert event["started_at"] == "2023-11-14T22:13:20.000000Z"
    assert event["occurred_at"] == "2023-11-14T23:13:20.000000Z"
    assert event["class_div"] is event["student_id"] is None


def test_a_gap_that_is_open_when_the_agent_is_killed_goes_on(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.open("queue_overflow")
    gaps.settle()
    clock.go(60)
    gaps = start(state, spool, clock)
    (gap,) = gaps.opened()
    gaps.close(gap, files_seen=3, files_recovered=1)
    gaps.settle()
    (event,) = declared(spool)
    assert (event["cause"], event["files_seen"], event["files_recovered"]) == ("queue_overflow", 3, 1)
    assert event["started_at"] == "2023-11-14T22:13:20.000000Z"
    assert event["occurred_at"] == "2023-11-14T22:14:20.000000Z"
    assert start(state, spool, clock).opened() == []


def test_losses_are_gathered_and_a_flood_of_them_makes_few_gaps(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    for _ in range(600):
        gaps.declare("saves_overtaken", student=STUDENT, events_lost=2)
        gaps.settle()
        clock.go(0.5)
    gaps.settle(final=True)
    events = declared(spool)
    assert sum(event["events_lost"] for event in events) == 1200
    assert len(events) <= 2 + 300 / GATHER_AGAIN_SECONDS
    assert {event["student_id"] for event in events} == {202012180}


def test_until_a_loss_is_spooled_nothing_after_it_counts_as_whole(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.settle()
    clock.go(40)
    gaps.declare("saves_overtaken", student=STUDENT, events_lost=1)
    clock.go(GATHER_SECONDS / 2)
    gaps.settle()
    clock.go(40)
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.settle()
    (event,) = declared(spool)
    assert event["cause"] == "agent_stopped"
    assert event["started_at"] <= "2023-11-14T22:14:00.000000Z"


def test_what_was_noticed_and_is_not_spooled_yet_does_not_count_as_whole(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    noticed = clock.wall
    clock.go(31)
    gaps.oldest_unhandled_ns = lambda: noticed
    gaps.settle(final=True)
    gaps = start(state, spool, clock)
    gap = gaps.take_downtime()
    assert gap is not None
    assert gap.started_ns == noticed


def test_while_the_spool_cannot_be_written_nothing_is_forgotten(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gaps.close(gaps.open("remounted"), files_seen=1, files_recovered=0)
    gaps.declare("probe_loss", events_lost=5, detail="exec_ring_full=5")
    with state.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        gaps.settle(final=True)
    gaps.declare("probe_loss", events_lost=2)
    with state.reading() as connection:
        connection.execute("PRAGMA query_only = OFF")
    gaps.settle(final=True)
    assert [(event["cause"], event["events_lost"]) for event in declared(spool)] == [
        ("remounted", None),
        ("probe_loss", 7),
    ]


def test_a_clock_that_was_stepped_back_ends_no_gap_before_its_beginning(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gap = gaps.open("remounted")
    clock.wall -= 3600 * _SECOND
    gaps.close(gap, detail="line\nbreak \x1b[31m" + "x" * 1000)
    gaps.settle()
    (event,) = declared(spool)
    assert event["started_at"] == event["occurred_at"]
    assert event["detail"].startswith("line?break ?[31mxxx")


def test_the_same_gap_closes_once(state: StateDatabase, spool: Spool, clock: Clock) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    gap = gaps.open("blind_mount", STUDENT)
    assert gaps.open("blind_mount", STUDENT) == gap
    gaps.close(gap)
    gaps.close(gap)
    gaps.settle()
    assert len(declared(spool)) == 1


def test_what_the_spool_dropped_is_declared_for_the_student_even_by_the_next_start(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    workspace = "os-1-007"
    small = Spool(state, 2000)
    add(state, small, *(version(f"{number:032x}", bytes(600), workspace) for number in range(8)))
    kept = {event.body["id"] for event in spool.ready(100, 1 << 20)}
    # Killed before any tick: the next start declares it.
    gaps = start(state, spool, clock)
    gaps.settle()
    (event,) = declared_gaps(spool)
    assert (event["cause"], event["class_div"], event["student_id"]) == ("spool_full", "os-1", 7)
    assert event["detail"] == f"contents=8 events={8 - len(kept)}"
    assert event["events_lost"] == 16 - len(kept)
    assert event["started_at"] == "2026-11-24T00:00:00.000000Z"
    gaps.settle(final=True)
    assert len(declared_gaps(spool)) == 1


def test_what_the_spool_drops_all_the_time_makes_few_gaps(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    gaps = start(state, spool, clock)
    gaps.declare_downtime()
    for _ in range(600):
        with state.transaction() as transaction:
            losses.note(transaction, Loss("spool_full", "os-1-7", OCCURRED_NS, clock.wall, contents=2))
        gaps.settle()
        clock.go(0.5)
    gaps.settle(final=True)
    events = declared_gaps(spool)
    assert sum(event["events_lost"] for event in events) == 1200
    assert len(events) <= 2 + 300 / GATHER_AGAIN_SECONDS


def test_a_loss_of_unknown_size_and_beginning_is_declared_as_such(
    state: StateDatabase, spool: Spool, clock: Clock
) -> None:
    with state.transaction() as transaction:
        losses.note(transaction, Loss("spool_damaged", "", OCCURRED_NS, OCCURRED_NS, events=3))
        losses.note(
            transaction, Loss("spool_damaged", "", None, OCCURRED_NS, counted=False, detail="a damaged file")
        )
    gaps = start(state, spool, clock)
    gaps.settle()
    (event,) = declared_gaps(spool)
    assert (event["started_at"], event["events_lost"], event["detail"]) == (None, None, "a damaged file")
    assert event["class_div"] is None
