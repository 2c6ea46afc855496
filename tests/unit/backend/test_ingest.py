"""The group-committing writer: nothing is answered that is not stored, and nobody waits for ever."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from lab.postgres import DatabaseServer
from unit.backend.samples import version_record
from watcher_backend.database_address import DatabaseAddress, PostgresServer
from watcher_backend.ingest import IngestWriter, QueueFullError, StorageUnavailableError
from watcher_backend.storage import postgres, sqlite
from watcher_backend.storage.database import Database
from watcher_backend.storage.opening import connect, open_database
from watcher_backend.storage.records import EventRecord


@pytest.fixture
def database(address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT_SECONDS", 0.1)
    opened = open_database(address)
    yield opened
    opened.close()


@pytest.fixture
def writer(database: Database) -> Iterator[IngestWriter]:
    running = IngestWriter(database, capacity=10)
    running.start()
    yield running
    assert running.stop(10)


def stored(database: Database) -> int:
    with database.connection():
        row = database.execute("SELECT count(*) FROM event").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def held(address: DatabaseAddress) -> Iterator[None]:
    """Keep everyone else from writing, as another program with the same database may."""
    with closing(connect(address)) as other, other.connection(), other.transaction():
        yield


def test_every_request_learns_of_its_own_events(writer: IngestWriter, database: Database) -> None:
    repeated = version_record(1)

    async def run() -> None:
        outcomes = await asyncio.gather(
            writer.store([repeated, version_record(2)]),
            writer.store([version_record(3), repeated]),
            writer.store([]),
        )
        assert list(outcomes) == [[True, True], [True, False], []]

    asyncio.run(run())
    assert stored(database) == 3


def test_requests_that_wait_together_share_a_transaction(database: Database) -> None:
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


def test_a_database_that_refuses_fails_the_requests_and_not_the_writer(
    writer: IngestWriter, database: Database, address: DatabaseAddress
) -> None:
    async def run() -> None:
        with held(address), pytest.raises(StorageUnavailableError, match=r"locked|lock timeout"):
            await writer.store([version_record(1)])
        assert await writer.store([version_record(2)]) == [True]

    asyncio.run(run())
    assert stored(database) == 1


def test_one_requests_impossible_events_do_not_fail_the_others(database: Database) -> None:
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
    assert stored(database) == 2


def test_more_than_the_queue_holds_is_refused_and_never_stored(database: Database) -> None:
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
    assert stored(database) == 23


def test_stopping_writes_what_waits_and_refuses_what_comes(database: Database) -> None:
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
    assert stored(database) == 1


def test_a_client_that_leaves_takes_nobody_with_it(writer: IngestWriter, address: DatabaseAddress) -> None:
    async def run() -> None:
        with held(address):
            gone = asyncio.ensure_future(writer.store([version_record(1)]))
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
        assert await writer.store([version_record(2)]) == [True]

    asyncio.run(run())
    assert writer.alive


def test_a_connection_that_was_lost_while_nothing_was_written_costs_no_request(
    database_server: DatabaseServer, postgres_address: PostgresServer
) -> None:
    with closing(open_database(postgres_address)) as database:
        writer = IngestWriter(database)
        writer.start()
        asyncio.run(_store_one(writer))
        with database_server.connect() as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                (postgres_address.database,),
            ).fetchall()
        assert (True,) in ended
        asyncio.run(_store_one(writer))
        assert writer.stop(10)
        assert stored(database) == 2


def test_no_connection_is_left_open_by_the_writers_thread(writer: IngestWriter) -> None:
    asyncio.run(_store_one(writer))
    assert writer.stop(10)
    assert not any(thread.name == "ingest-writer" for thread in threading.enumerate())


async def _store_one(writer: IngestWriter) -> None:
    assert await writer.store([version_record(1)]) == [True]
