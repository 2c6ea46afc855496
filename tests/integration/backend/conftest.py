"""A backend for every test that asks for one, on each database in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.backend.server import Server
from lab.postgres import BOTH, DatabaseServer, empty_database
from watcher_backend.database_address import DatabaseAddress, PostgresServer


@pytest.fixture(params=BOTH)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseAddress]:
    """An empty database, of each kind in turn."""
    with empty_database(request, tmp_path) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, address: DatabaseAddress) -> Iterator[Server]:
    with Server(tmp_path, address=address) as running:
        yield running


@pytest.fixture
def postgres_address(database_server: DatabaseServer) -> Iterator[PostgresServer]:
    """An empty database of PostgreSQL."""
    with database_server.database() as made:
        yield made
