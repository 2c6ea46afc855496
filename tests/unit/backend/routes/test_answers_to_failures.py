"""What the app answers when something of its own fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI

from watcher_backend import work_queries
from watcher_backend.app import create_app
from watcher_backend.database_address import DatabaseAddress, PostgresServer, SqliteFile
from watcher_backend.services import Services
from watcher_backend.settings import Settings
from watcher_backend.storage.opening import connect, open_database

FILES = "/api/os-1/hw1/202012180"


def settings(address: DatabaseAddress) -> Settings:
    return Settings(address, "127.0.0.1", 3000, Path("/nowhere"), ZoneInfo("Asia/Seoul"), 20)


@pytest.fixture
def app(address: DatabaseAddress) -> Iterator[FastAPI]:
    database = open_database(address)
    yield create_app(settings(address), database)
    database.close()


def get(app: FastAPI, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_an_unexpected_error_is_a_problem_that_tells_nothing_of_the_inside(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(database: object, work: object) -> list[str]:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(work_queries, "filenames", fail)
    answer = get(app, FILES)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "an unexpected error; it has been logged",
    }
    text = get(app, "/metrics").text
    assert 'route="/api/{class_div}/{hw_name}/{student_id}",status="500"} 1.0' in text


def test_without_its_writer_it_is_healthy_but_not_ready(app: FastAPI) -> None:
    assert get(app, "/healthz").status_code == 200
    answer = get(app, "/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the writer does not run")


@pytest.mark.parametrize(
    "nowhere", [SqliteFile(Path("/not/there.db")), PostgresServer("127.0.0.1", 1, "watcher", "watcher", "secret")]
)
def test_without_its_database_it_is_not_ready_and_reads_are_answered_503(nowhere: DatabaseAddress) -> None:
    app = create_app(settings(nowhere), connect(nowhere))
    services: Services = app.state.services
    services.writer.start()
    try:
        assert get(app, "/healthz").status_code == 200
        for path in ("/readyz", FILES, "/api/v1/events"):
            answer = get(app, path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert get(app, FILES).headers["retry-after"] == "5"
    finally:
        assert services.writer.stop(10)


def test_a_database_without_the_schema_is_not_ready(address: DatabaseAddress) -> None:
    database = connect(address)
    app = create_app(settings(address), database)
    services: Services = app.state.services
    services.writer.start()
    try:
        assert get(app, "/readyz").status_code == 503
    finally:
        assert services.writer.stop(10)
        database.close()
