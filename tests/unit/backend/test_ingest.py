"""The group-committing writer: nothing is answered that is not stored, and nobody waits for ever."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from unit.backend.samples import version_record
from watcher_backend.ingest import IngestWriter, QueueFullError, StorageUnavailableError
from watcher_backend.storage import database as database_module
from watcher_backend.storage.database import Database
from watcher_backend.storage.opening import open_database
from watcher_backend.storage.records import EventRecord


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "d.db"


@pytest.fixture
def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0.1)
    opened = open_database(path)
    yield opened
    opened.close()


@pytest.fixture
def writer(database: Database) -> Iterator[IngestWriter]:
    running = IngestWriter(database, capacity=10)
    running.start()
    yield running
    assert running.stop(10)


def stored(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("SELECT count(*) FROM event").fetchone()[0]
        return number


def held(path: Path) -> sqlite3.Connection:
    """Return a connection that keeps everyone else from writing."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_every_request_learns_of_its_own_events(writer: IngestWriter, path: Path) -> None:
    repeated = version_record(1)

    async def run() -> None:
        outcomes = await asyncio.gather(
            writer.store([repeated, version_record(2)]),
            writer.store([version_record(3), repeated]),
            writer.store([]),
        )
        assert list(outcomes) == [[True, True], [True, False], []]

    asyncio.run(run())
    assert stored(path) == 3


def test_requests_that_wait_together_share_a_transaction(database: Database, path: Path) -> None:
    groups: list[int] = []
    writer = IngestWriter(database, on_commit=lambda events, seconds: groups.append(events))

    async def run() -> None:
        requests = [asyncio.ensure_future(writer.store([version_record(at)])) for at in range(50)]
        await asyncio.sleep(0)
        writer.start()
        await asyncio.gather(*requests)

    asyncio.run(run())
    assert writer.stop(10)
    assert groups == [50]


def test_a_database_that_refuses_fails_the_requests_and_not_the_writer(writer: IngestWriter, path: Path) -> None:
    async def run() -> None:
        with closing(held(path)), pytest.raises(StorageUnavailableError, match="locked"):
            await writer.store([version_record(1)])
        assert await writer.store([version_record(2)]) == [True]

    asyncio.run(run())
    assert stored(path) == 1


def test_one_requests_impossible_events_do_not_fail_the_others(database: Database, path: Path) -> None:
    writer = IngestWriter(database)

    async def run() -> list[object]:
        requests: list[list[EventRecord]] = [
            [version_record(1)],
            [version_record(2, change="no such change")],
            [version_record(3, size=2**63)],
            [version_record(4)],
        ]
        waiting = [asyncio.ensure_future(writer.store(request)) for request in requests]
        await asyncio.sleep(0)
        writer.start()
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    first, second, third, fourth = asyncio.run(run())
    assert writer.stop(10)
    assert (first, fourth) == ([True], [True])
    assert isinstance(second, Exception)
    assert isinstance(third, Exception)
    assert stored(path) == 2


def test_more_than_the_queue_holds_is_refused_and_never_stored(database: Database, path: Path) -> None:
    writer = IngestWriter(database, capacity=10)

    async def run() -> None:
        waiting = asyncio.ensure_future(writer.store([version_record(at) for at in range(8)]))
        await asyncio.sleep(0)
        assert writer.waiting_events == 8
        with pytest.raises(QueueFullError):
            await writer.store([version_record(100) for _ in range(3)])
        writer.start()
        assert await waiting == [True] * 8
        assert await writer.store([version_record(200) for _ in range(15)]) == [True] * 15, "alone it may pass"

    asyncio.run(run())
    assert writer.stop(10)
    assert stored(path) == 23


def test_stopping_writes_what_waits_and_refuses_what_comes(database: Database, path: Path) -> None:
    writer = IngestWriter(database)

    async def run() -> None:
        waiting = asyncio.ensure_future(writer.store([version_record(1)]))
        await asyncio.sleep(0)
        writer.start()
        stopped = await asyncio.get_running_loop().run_in_executor(None, writer.stop, 10.0)
        assert stopped
        assert await waiting == [True]
        with pytest.raises(StorageUnavailableError, match="stopping"):
            await writer.store([version_record(2)])

    asyncio.run(run())
    assert not writer.alive
    assert stored(path) == 1


def test_a_client_that_leaves_takes_nobody_with_it(writer: IngestWriter, path: Path) -> None:
    async def run() -> None:
        with closing(held(path)) as lock:
            gone = asyncio.ensure_future(writer.store([version_record(1)]))
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            lock.execute("ROLLBACK")
        assert await writer.store([version_record(2)]) == [True]

    asyncio.run(run())
    assert writer.alive


def test_no_connection_is_left_open_by_the_writers_thread(writer: IngestWriter) -> None:
    asyncio.run(_store_one(writer))
    assert writer.stop(10)
    assert not any(thread.name == "ingest-writer" for thread in threading.enumerate())


async def _store_one(writer: IngestWriter) -> None:
    assert await writer.store([version_record(1)]) == [True]
