"""Both databases, for every test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.postgres import BOTH, DatabaseServer, empty_database
from watcher_backend.database_address import DatabaseAddress, PostgresServer, SqliteFile
from watcher_backend.storage.database import Database
from watcher_backend.storage.opening import open_database


@pytest.fixture(params=BOTH)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseAddress]:
    """An empty database, of each kind in turn."""
    with empty_database(request, tmp_path) as made:
        yield made


@pytest.fixture
def database(address: DatabaseAddress) -> Iterator[Database]:
    """A database with the newest schema, of each kind in turn."""
    opened = open_database(address)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A SQLite database with the newest schema."""
    opened = open_database(SqliteFile(tmp_path / "d.db"))
    yield opened
    opened.close()


@pytest.fixture
def postgres_address(database_server: DatabaseServer) -> Iterator[PostgresServer]:
    """An empty database of PostgreSQL."""
    with database_server.database() as address:
        yield address
