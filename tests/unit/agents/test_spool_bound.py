"""The bound: it holds at any instant, the one who floods pays, and every drop is noted."""

import random
import sqlite3

import pytest

from lab.spooling import OCCURRED_NS, add, gap, version, waiting
from watcher_agents import losses
from watcher_agents.losses import Loss
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

FLOODER, OTHER = "os-1-1", "os-1-2"


def held(state: StateDatabase) -> int:
    """What the spool holds, counted row by row."""
    with state.reading() as connection:
        (size,) = connection.execute(
            "SELECT (SELECT coalesce(sum(bytes), 0) FROM event) + (SELECT coalesce(sum(bytes), 0) FROM rejected)"
        ).fetchone()
    return int(size)


def dropped(state: StateDatabase) -> dict[str, tuple[int, int]]:
    """Contents and events that were noted as dropped, by workspace."""
    with state.reading() as connection:
        return {loss.workspace: (loss.contents, loss.events) for loss in losses.noted(connection)}


def test_the_flooder_pays_with_the_oldest_contents_and_the_events_stay(state: StateDatabase) -> None:
    spool = Spool(state, 40_000)
    add(state, spool, *(version(f"other{number}", bytes(2000), OTHER) for number in range(3)))
    for number in range(30):
        add(state, spool, version(f"flood{number}", bytes(2000), FLOODER))
        assert held(state) == spool.backlog().bytes <= 40_000
    kept = {event.body["id"] for event in spool.unstored(100, 1 << 20)}
    assert {"other0", "other1", "other2", "flood29"} <= kept
    without = spool.ready(100, 1 << 20)
    assert [event.body["id"] for event in without] == [f"flood{number}" for number in range(len(without))]
    for event in without:
        assert event.body["content_omitted"] == "spool_full"
        assert event.body["snapshot_path"] is None
        assert len(event.body["sha256"]) == 64
        assert event.workspace == FLOODER
    assert dropped(state) == {FLOODER: (len(without), 0)}
    with state.reading() as connection:
        assert [loss.started_ns for loss in losses.noted(connection)] == [OCCURRED_NS]


def test_with_no_content_left_the_oldest_events_go_those_set_aside_too(state: StateDatabase) -> None:
    spool = Spool(state, 20_000)
    add(state, spool, *(version(f"flood{number}", None, FLOODER) for number in range(5)))
    spool.settle(acknowledged=[], rejected=[(event, "no such class") for event in spool.ready(2, 1 << 20)])
    spool.ready(0, 0)
    add(state, spool, version("other", None, OTHER))
    for number in range(5, 60):
        add(state, spool, version(f"flood{number}", None, FLOODER))
        assert held(state) == spool.backlog().bytes <= 20_000
    left = [name for name in waiting(spool) if name != "other"]
    assert "other" in waiting(spool)
    assert left == [f"flood{number}" for number in range(60 - len(left), 60)]
    assert spool.backlog().rejected == 0
    assert dropped(state) == {FLOODER: (0, 60 - len(left))}


def test_who_holds_the_same_pays_in_turns(state: StateDatabase) -> None:
    spool = Spool(state, 60_000)
    for number in range(30):
        add(state, spool, version(f"a{number}", bytes(2000), FLOODER), version(f"b{number}", bytes(2000), OTHER))
    one, other = dropped(state)[FLOODER], dropped(state)[OTHER]
    assert abs(one[0] - other[0]) <= 1
    assert one[1] == other[1] == 0


def test_what_is_under_way_is_left_alone(state: StateDatabase) -> None:
    """What arrives although it was dropped would be declared lost."""
    spool = Spool(state, 12_000)
    add(state, spool, version("a", bytes(3000), FLOODER), version("b", bytes(3000), FLOODER))
    (storing,) = spool.unstored(1, 1 << 20)
    add(state, spool, *(version(f"c{number}", bytes(3000), FLOODER) for number in range(4)))
    assert held(state) <= 12_000
    assert next(event.body["id"] for event in spool.ready(10, 1 << 20)) == "b"
    spool.mark_stored([(storing, "os-1-1/hw1/a.c/1.c")])
    assert {event.body["id"]: event.body["snapshot_path"] for event in spool.ready(9, 1 << 20)}["a"]


def test_a_gap_goes_last_and_what_it_declared_stays_declared(state: StateDatabase) -> None:
    spool = Spool(state, 3000)
    add(state, spool, gap("g", started_at=None))
    add(state, spool, *(version(f"a{number}", bytes(100), FLOODER) for number in range(8)))
    assert "g" in waiting(spool)
    add(state, spool, *(gap(f"h{number}") for number in range(8)))
    assert held(state) <= 3000
    assert "g" not in waiting(spool)
    with state.reading() as connection:
        (loss,) = (one for one in losses.noted(connection) if one.workspace == "")
    assert (loss.total, loss.started_ns) == (None, None)


def test_an_event_that_is_larger_than_the_spool_is_dropped_and_noted(state: StateDatabase) -> None:
    spool = Spool(state, 3000)
    add(state, spool, version("a", bytes(100_000), FLOODER))
    (event,) = spool.ready(1, 1 << 20)
    assert event.body["content_omitted"] == "spool_full"
    event_too_large, _ = version("b", None, OTHER)
    add(state, spool, (event_too_large | {"filename": "x" * 10_000}, None))
    assert held(state) <= 3000
    assert waiting(spool) == ["a"]
    assert dropped(state) == {FLOODER: (1, 0), OTHER: (0, 1)}


def test_a_bound_that_was_lowered_holds_from_the_start(state: StateDatabase) -> None:
    spool = Spool(state, 1 << 30)
    add(state, spool, *(version(f"a{number}", bytes(2000), f"os-1-{number % 10}") for number in range(100)))
    Spool(state, 50_000)
    assert held(state) <= 50_000
    assert sum(contents for contents, _ in dropped(state).values()) + len(spool.unstored(1000, 1 << 30)) == 100


def test_a_drop_is_undone_with_the_transaction_that_made_it(state: StateDatabase) -> None:
    spool = Spool(state, 20_000)
    add(state, spool, *(version(f"a{number}", bytes(2000), FLOODER) for number in range(6)))
    before = waiting(spool), held(state), dropped(state)
    with pytest.raises(sqlite3.OperationalError), state.transaction() as transaction:
        spool.append(transaction, [version(f"b{number}", bytes(2000), FLOODER) for number in range(6)])
        transaction.execute("INSERT INTO nowhere VALUES (1)")
    assert (waiting(spool), held(state), dropped(state)) == before


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_the_bound_holds_and_nothing_goes_unnoted(state: StateDatabase, seed: int) -> None:
    """What came in = what both sinks took + what waits + what is noted as dropped."""
    chance = random.Random(seed)
    spool = Spool(state, 30_000)
    came = left = stored = 0
    for step in range(150):
        batch = [
            version(
                f"{step}-{number}",
                bytes(chance.choice([0, 10, 500, 3000, 9000])) if chance.random() < 0.7 else None,
                f"os-1-{chance.randrange(4)}",
            )
            for number in range(chance.randrange(6))
        ]
        came += len(batch)
        add(state, spool, *batch)
        assert held(state) == spool.backlog().bytes <= 30_000
        if chance.random() < 0.3:
            contents = spool.unstored(5, 10_000)
            stored += len(contents)
            spool.mark_stored([(event, "os-1-1/x") for event in contents])
        if chance.random() < 0.3:
            events = spool.ready(5, 10_000)
            aside = [event for event in events if chance.random() < 0.2]
            spool.settle([event for event in events if event not in aside], [(event, "no") for event in aside])
            left += len(events) - len(aside)
    backlog = spool.backlog()
    with state.reading() as connection:
        noted: list[Loss] = losses.noted(connection)
    assert came == left + backlog.events + backlog.rejected + sum(loss.events for loss in noted)
    assert sum(loss.contents for loss in noted) > 0
    assert stored > 0
