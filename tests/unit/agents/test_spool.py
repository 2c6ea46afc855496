"""The spool: nothing enters twice, nothing leaves before both sinks have it, nothing is lost by a kill."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents.spool import Backlog, Content, Spool
from watcher_agents.state import StateDatabase


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDatabase]:
    with closing(StateDatabase(tmp_path / "state" / "spool.sqlite3")) as database:
        yield database


@pytest.fixture
def spool(state: StateDatabase) -> Spool:
    return Spool(state)


def add(state: StateDatabase, spool: Spool, *names: str, content: bytes | None = None) -> None:
    placed = None if content is None else Content(content, "os-1-1/hw1/a.c", "c", 5)
    with state.transaction() as transaction:
        spool.append(transaction, [({"id": name, "type": "snapshot"}, placed) for name in names])


def test_events_come_out_oldest_first_within_the_limits(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, "a", "b", "c")
    assert [event.body["id"] for event in spool.ready(2, 1000)] == ["a", "b"]
    assert [event.body["id"] for event in spool.ready(10, 1)] == ["a"]
    assert [event.sequence for event in spool.ready(10, 1000)] == [1, 2, 3]


def test_an_id_that_waits_already_is_not_added_again(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, "a", "a")
    add(state, spool, "a", "b")
    assert [(event.body["id"], event.sequence) for event in spool.ready(10, 1000)] == [("a", 1), ("b", 2)]


def test_an_event_with_content_is_ready_only_when_the_volume_has_it(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, "a", content=b"int x;")
    assert spool.ready(10, 1000) == []
    (waiting,) = spool.unstored(10, 1000)
    assert waiting.content == Content(b"int x;", "os-1-1/hw1/a.c", "c", 5)
    spool.mark_stored([(waiting, "os-1-1/hw1/a.c/1.c")])
    assert spool.unstored(10, 1000) == []
    (ready,) = spool.ready(10, 1000)
    assert ready.body == {"id": "a", "type": "snapshot", "snapshot_path": "os-1-1/hw1/a.c/1.c"}


def test_empty_content_is_content_too(state: StateDatabase, spool: Spool) -> None:
    add(state, spool, "a", content=b"")
    assert [event.body["id"] for event in spool.unstored(10, 1000)] == ["a"]


def test_a_rejected_event_is_set_aside_and_the_sequence_is_not_given_twice(
    state: StateDatabase, spool: Spool
) -> None:
    add(state, spool, "a", "b")
    first, second = spool.ready(10, 1000)
    spool.settle(acknowledged=[second], rejected=[(first, "no such class")])
    backlog = spool.backlog()
    assert backlog == Backlog(events=0, unstored=0, rejected=1, bytes=0, newest=backlog.newest)
    add(state, spool, "c")
    assert [event.sequence for event in spool.ready(10, 1000)] == [3]


def test_a_failed_transaction_leaves_nothing_half_done(state: StateDatabase, spool: Spool) -> None:
    with pytest.raises(sqlite3.OperationalError), state.transaction() as transaction:
        spool.append(transaction, [({"id": "a"}, None)])
        transaction.execute("INSERT INTO nowhere VALUES (1)")
    assert spool.backlog().events == 0


def test_what_append_returned_for_survives_kill_nine(tmp_path: Path) -> None:
    database = tmp_path / "spool.sqlite3"
    writer = """
import sys
from pathlib import Path
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase
state = StateDatabase(Path(sys.argv[1]))
spool = Spool(state)
number = 0
while True:
    with state.transaction() as transaction:
        spool.append(transaction, [({"id": str(number)}, None)])
    print(number, flush=True)
    number += 1
"""
    with subprocess.Popen([sys.executable, "-c", writer, str(database)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(50):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        promised = 50 + len(process.stdout.read().split(b"\n")) - 1
    with closing(StateDatabase(database)) as state:
        kept = [event.body["id"] for event in Spool(state).ready(100_000, 1 << 30)]
    assert kept[:promised] == [str(number) for number in range(promised)]
    assert promised <= len(kept) <= promised + 1


def test_the_time_of_the_last_event_outlives_its_delivery_and_a_restart(tmp_path: Path) -> None:
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spool = Spool(state)
        assert spool.backlog().newest == 0.0
        add(state, spool, "a")
        newest = spool.backlog().newest
        assert newest > 0.0
        spool.settle(acknowledged=spool.ready(1, 1000), rejected=[])
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        assert Spool(state).backlog() == Backlog(events=0, unstored=0, rejected=0, bytes=0, newest=newest)


def test_a_spool_of_the_release_before_opens_and_keeps_its_events(tmp_path: Path) -> None:
    """Release 0.1.0 kept no time of the last event."""
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        add(state, Spool(state), "a")
        with state.transaction() as transaction:
            transaction.execute("DROP TABLE newest")
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spool = Spool(state)
        assert [event.body["id"] for event in spool.ready(10, 1000)] == ["a"]
        assert spool.backlog().newest == 0.0
