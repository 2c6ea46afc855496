"""The spool: nothing enters twice, nothing leaves before both sinks have it, nothing is lost by a kill."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab.spooling import OCCURRED_AT, add, version
from watcher_agents.spool import Backlog, Content, Spool
from watcher_agents.state import StateDatabase

RELEASE_0_1_0 = """
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL, content BLOB,
    directory TEXT, extension TEXT, saved_ns INTEGER, bytes INTEGER NOT NULL
);
CREATE INDEX event_unstored ON event (sequence) WHERE content IS NOT NULL;
CREATE INDEX event_bytes ON event (bytes);
CREATE TABLE rejected (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL
);
"""


def test_events_come_out_oldest_first_within_the_limits(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, *map(version, "abc"))
    assert [event.body["id"] for event in spool.ready(2, 100_000)] == ["a", "b"]
    assert [event.body["id"] for event in spool.ready(10, 1)] == ["a"]
    first, second, third = (event.sequence for event in spool.ready(10, 100_000))
    assert (second, third) == (first + 1, first + 2)


def test_the_workspace_stays_on_the_node_and_out_of_the_event(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, version("a", None, "os-1-007"))
    (event,) = spool.ready(1, 100_000)
    assert event.workspace == "os-1-007"
    assert "workspace" not in event.body


def test_a_new_spool_begins_its_sequence_above_all_that_were_there_before(tmp_path: Path) -> None:
    sequences = []
    for name in ("first", "second"):
        with closing(StateDatabase(tmp_path / name / "spool.sqlite3")) as state:
            spool = Spool(state)
            add(state, spool, *map(version, "abc"))
            sequences += [event.sequence for event in spool.ready(10, 100_000)]
        # The first spool has used up three milliseconds' numbers.
        time.sleep(0.01)
    assert sequences == sorted(set(sequences))
    assert sequences[0] > 1_700_000_000_000


def test_an_id_that_waits_already_is_not_added_again(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, version("a"), version("a"))
    add(state, spool, version("a"), version("b"))
    first, second = spool.ready(10, 100_000)
    assert (first.body["id"], second.body["id"]) == ("a", "b")
    assert second.sequence == first.sequence + 1


def test_an_event_with_content_is_ready_only_when_the_volume_has_it(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, version("a", b"int x;"))
    assert spool.ready(10, 100_000) == []
    (event,) = spool.unstored(10, 100_000)
    assert event.content == version("a", b"int x;")[1]
    spool.mark_stored([(event, "os-1-202012180/hw1/a.c/1.c")])
    assert spool.unstored(10, 100_000) == []
    (ready,) = spool.ready(10, 100_000)
    assert ready.body == event.body | {"snapshot_path": "os-1-202012180/hw1/a.c/1.c"}
    assert (ready.sequence, ready.workspace) == (event.sequence, event.workspace)


def test_empty_content_is_content_too(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, version("a", b""))
    assert [event.body["id"] for event in spool.unstored(10, 100_000)] == ["a"]


def test_a_rejected_event_is_set_aside_and_the_sequence_is_not_given_twice(
    state: StateDatabase, spool: Spool
) -> None:
    add(state, spool, version("a"), version("b"))
    first, second = spool.ready(10, 100_000)
    spool.settle(acknowledged=[second], rejected=[(first, "no such class")])
    backlog = spool.backlog()
    assert (backlog.events, backlog.unstored, backlog.rejected) == (0, 0, 1)
    assert backlog.bytes > 0
    add(state, spool, version("c"))
    assert [event.sequence for event in spool.ready(10, 100_000)] == [second.sequence + 1]


def test_what_is_held_is_counted_as_it_comes_and_goes(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, version("a", bytes(5000)), version("b"))
    full = spool.backlog()
    assert (full.events, full.unstored, full.rejected) == (2, 1, 0)
    spool.mark_stored([(spool.unstored(1, 100_000)[0], "os-1-202012180/x")])
    stored = spool.backlog()
    assert (stored.events, stored.unstored) == (2, 0)
    assert 4000 < full.bytes - stored.bytes < 6000
    spool.settle(acknowledged=spool.ready(2, 100_000), rejected=[])
    assert spool.backlog() == Backlog(events=0, unstored=0, rejected=0, bytes=0, newest=full.newest)


def test_a_failed_transaction_leaves_nothing_half_done(state: StateDatabase, spool: Spool) -> None:
    with pytest.raises(sqlite3.OperationalError), state.transaction() as transaction:
        spool.append(transaction, [version("a")])
        transaction.execute("INSERT INTO nowhere VALUES (1)")
    assert spool.backlog().events == spool.backlog().bytes == 0


def test_the_time_of_the_last_event_outlives_its_delivery_and_a_restart(tmp_path: Path) -> None:
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spool = Spool(state)
        assert spool.backlog().newest == 0.0
        add(state, spool, version("a"))
        newest = spool.backlog().newest
        assert newest > 0.0
        spool.settle(acknowledged=spool.ready(1, 100_000), rejected=[])
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        assert Spool(state).backlog() == Backlog(events=0, unstored=0, rejected=0, bytes=0, newest=newest)


def old_body(name: str, **known: Any) -> bytes:
    body = {"id": name, "type": "snapshot", "occurred_at": OCCURRED_AT, "class_div": "os-1", "student_id": 7}
    return json.dumps(body | {"snapshot_path": None, "content_omitted": None} | known).encode()


def spool_of_release_0_1_0(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(RELEASE_0_1_0)
        insert = (
            "INSERT INTO event (id, body, content, directory, extension, saved_ns, bytes) VALUES (?,?,?,?,?,?,?)"
        )
        for name, known, place in (
            ("a", {}, (b"int x;", "os-1-007/hw1/a.c", "c", 5)),
            ("b", {"snapshot_path": "os-1-007/hw1/a.c/20261124_000000.c"}, (None,) * 4),
            ("c", {"hostname": "jcode-os-1-007-6d4f-x2"}, (None,) * 4),
            ("d", {"hostname": "jcode-os-1-7"}, (None,) * 4),
            ("e", {}, (None,) * 4),
        ):
            connection.execute(insert, (name, old_body(name, **known), *place, 300))
        connection.execute("INSERT INTO rejected VALUES (1000, 'r', ?, 'no such class')", (old_body("r"),))
        connection.commit()


def test_a_spool_of_the_release_before_keeps_its_events_and_goes_on_counting(tmp_path: Path) -> None:
    spool_of_release_0_1_0(tmp_path / "spool.sqlite3")
    for _ in range(2):
        with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
            spool = Spool(state)
            backlog = spool.backlog()
            assert (backlog.events, backlog.unstored, backlog.rejected, backlog.newest) == (5, 1, 1, 0.0)
            assert backlog.bytes > 5 * 300
            (unstored,) = spool.unstored(10, 100_000)
            assert unstored.content == Content(b"int x;", "os-1-007/hw1/a.c", "c", 5)
            workspaces = {event.body["id"]: event.workspace for event in spool.ready(10, 100_000)}
            assert workspaces == {"b": "os-1-007", "c": "os-1-007", "d": "os-1-7", "e": "os-1-7"}
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spool = Spool(state)
        add(state, spool, version("f"))
        assert max(event.sequence for event in spool.ready(10, 100_000)) == 6


def test_the_release_before_goes_on_with_a_spool_and_this_one_with_what_it_left(tmp_path: Path) -> None:
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        add(state, Spool(state), version("a"))
    with closing(sqlite3.connect(tmp_path / "spool.sqlite3")) as former:
        # What release 0.1.0 does: after a rollback, say.
        former.execute("CREATE INDEX IF NOT EXISTS event_bytes ON event (bytes)")
        former.execute(
            "INSERT INTO event (id, body, content, directory, extension, saved_ns, bytes) VALUES (?,?,?,?,?,?,?)",
            ("b", old_body("b", hostname="jcode-os-1-007-6d4f-x2"), None, None, None, None, 300),
        )
        former.commit()
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spool = Spool(state)
        assert [event.workspace for event in spool.ready(10, 100_000)] == ["os-1-202012180", "os-1-007"]
        spool.settle(acknowledged=spool.ready(10, 100_000), rejected=[])
        assert (spool.backlog().events, spool.backlog().bytes) == (0, 0)


def test_an_event_that_is_no_json_any_more_is_damage(state: StateDatabase, spool: Spool, tmp_path: Path) -> None:
    add(state, spool, version("a"))
    with state.transaction() as transaction:
        transaction.execute("UPDATE event SET body = x'00ff'")
    noticed: list[bool] = []
    state.on_damage = lambda: noticed.append(True)
    with pytest.raises(sqlite3.DatabaseError, match="cannot be read"):
        spool.ready(10, 100_000)
    assert noticed
    assert (tmp_path / "spool.sqlite3.damage").exists()
