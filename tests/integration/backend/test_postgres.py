"""The running backend on a PostgreSQL server: what goes wrong with servers, and two replicas at once."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from integration.backend.server import Server, assert_problem, run_program
from lab.postgres import PASSWORD, DatabaseServer, url_of
from lab.stack import free_port
from lab.waiting import wait_for
from unit.backend import samples
from watcher_backend.database_address import PostgresServer
from watcher_backend.names import CANARY_CLASS

WORK = "/api/os-1/hw1/202012180"


@pytest.fixture
def own_server() -> Iterator[DatabaseServer]:
    """A server that this test may end."""
    with DatabaseServer() as running:
        yield running


@pytest.fixture
def replicas(tmp_path: Path, postgres_address: PostgresServer) -> Iterator[tuple[Server, Server]]:
    """Two backends on one database."""
    with ExitStack() as stack:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        one, two = (
            stack.enter_context(Server(tmp_path / name, address=postgres_address)) for name in ("one", "two")
        )
        yield one, two


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": "not it"}, 'password authentication failed for user "watcher"'),
        ({"password": None}, "no password supplied"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"user": "nobody"}, 'password authentication failed for user "nobody"'),
        ({"port": free_port()}, "Connection refused"),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
        ({"parameters": {"sslmode": "require"}}, "server does not support SSL"),
    ],
)
def test_a_database_that_cannot_be_used_ends_the_program_with_one_line(
    postgres_address: PostgresServer, changed: dict[str, Any], said: str
) -> None:
    address = replace(postgres_address, **changed)
    parameters = "&".join(f"{name}={value}" for name, value in address.parameters.items())
    url = url_of(address) + (f"?{parameters}" if parameters else "")
    ended = run_program({"DB_URL": url, "WATCHER_LOG_LEVEL": "DEBUG"})
    assert ended.returncode == 1, ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if not line.startswith("DEBUG: ")]
    assert line.startswith(f"watcher-backend: cannot use database {address}: ")
    assert said in line
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "not it", "not%20it"):
        assert secret not in ended.stderr + ended.stdout


def test_a_user_who_may_not_make_tables_is_told_so_in_one_line(
    database_server: DatabaseServer, postgres_address: PostgresServer
) -> None:
    with database_server.connect(postgres_address.database) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'x'")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    ended = run_program({"DB_URL": url_of(replace(postgres_address, user="reader", password="x"))})
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "permission denied for schema public" in line


def test_the_password_is_read_from_a_file_and_written_nowhere(
    tmp_path: Path, postgres_address: PostgresServer
) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    address = replace(postgres_address, password=None)
    extra = {"WATCHER_DB_PASSWORD_FILE": str(tmp_path / "password"), "WATCHER_LOG_LEVEL": "DEBUG"}
    with Server(tmp_path, extra, address=address) as server:
        server.post(f"{WORK}/a.c/20250730_061753.c", {"bytes": 1})
        assert server.get(WORK) == ["a.c"]
        assert PASSWORD not in server.log()


def test_while_the_server_is_away_all_is_503_and_nothing_that_was_answered_is_lost(
    tmp_path: Path, own_server: DatabaseServer
) -> None:
    """It crashes in the middle of ingest, stays away for a while, and comes back."""
    answered: list[str] = []
    refused: list[httpx.Response] = []
    surprises: list[httpx.Response] = []
    stop = threading.Event()
    lock = threading.Lock()

    def deliver(server: Server) -> None:
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False, timeout=60) as client:
            while not stop.is_set():
                events = [samples.snapshot() for _ in range(5)]
                answer = client.post("/api/v1/events", json=samples.batch(*events))
                with lock:
                    if answer.status_code == 200:
                        answered.extend(event["id"] for event in events)
                    else:
                        (refused if answer.status_code == 503 else surprises).append(answer)

    with own_server.database() as address, Server(tmp_path, address=address) as server:
        with ThreadPoolExecutor(8) as pool:
            workers = [pool.submit(deliver, server) for _ in range(8)]
            try:
                wait_for(lambda: len(answered) >= 500, "events to be stored", 60)
                own_server.stop(signal.SIGQUIT)
                wait_for(lambda: len(refused) >= 20, "requests to be refused", 60)
                for path in (WORK, "/api/v1/events", "/readyz"):
                    assert_problem(server.client.get(path), 503)
                assert int(server.client.get(WORK).headers["retry-after"]) > 0
                assert server.client.get("/healthz").status_code == 200
                own_server.start()
                before = len(answered)
                wait_for(lambda: len(answered) >= before + 500, "events to be stored again", 60)
            finally:
                stop.set()
            for worker in workers:
                worker.result(timeout=60)
        assert surprises == []
        for answer in refused:
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        assert set(answered) <= set(followed(server))
        assert server.get("/readyz") == {"status": "ok"}
        assert "Traceback" not in server.log()
        assert PASSWORD not in server.log()


def test_two_replicas_take_the_same_events_at_once_and_store_each_once(replicas: tuple[Server, Server]) -> None:
    """An agent that got no answer asks the other replica, while the first is still at it."""
    batches = [samples.batch(*[samples.snapshot() for _ in range(20)], samples.gap()) for _ in range(60)]

    def deliver(server: Server) -> list[str]:
        statuses: list[str] = []
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False, timeout=60) as client:
            for batch in batches:
                answer = client.post("/api/v1/events", json=batch)
                assert answer.status_code == 200, answer.text
                statuses += [result["status"] for result in answer.json()["results"]]
        return statuses

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(deliver, [*replicas, *replicas]))
    for outcomes in zip(*told, strict=True):
        assert sorted(outcomes) == ["duplicate"] * 3 + ["stored"]
    for replica in replicas:
        assert sorted(followed(replica)) == sorted(
            event["id"] for batch in batches for event in batch["events"] if event["type"] == "snapshot"
        )


def test_a_client_that_follows_one_replica_sees_what_both_stored_once(replicas: tuple[Server, Server]) -> None:
    sent: list[list[str]] = [[], []]
    done = threading.Event()
    seen: list[str] = []

    def deliver(number: int) -> None:
        for size in range(60):
            events = [samples.snapshot(student_id=number) for _ in range(1 + size * (3 + 4 * number) % 50)]
            replicas[number].post("/api/v1/events", samples.batch(*events))
            sent[number] += [event["id"] for event in events]

    def follow() -> None:
        with httpx.Client(base_url=str(replicas[0].client.base_url), trust_env=False, timeout=60) as client:
            parameters: dict[str, str] = {}
            while True:
                last = done.is_set()
                page = client.get("/api/v1/events", params=parameters).json()
                seen.extend(event["id"] for event in page["events"])
                parameters = {"after": page["next"]}
                if last and not page["events"]:
                    return

    with ThreadPoolExecutor(3) as pool:
        following = pool.submit(follow)
        delivering = [pool.submit(deliver, number) for number in (0, 1)]
        try:
            for delivery in delivering:
                delivery.result(timeout=120)
        finally:
            done.set()
        following.result(timeout=120)
    assert len(seen) == len(set(seen))
    assert set(seen) == {*sent[0], *sent[1]}
    for number in (0, 1):
        mine = set(sent[number])
        assert [event for event in seen if event in mine] == sent[number], "a client's own events keep their order"


def test_a_canary_that_one_replica_removed_can_be_stored_by_the_other(replicas: tuple[Server, Server]) -> None:
    one, two = replicas
    for _ in range(3):
        one.post("/api/v1/events", samples.batch(samples.snapshot(class_div=CANARY_CLASS, student_id=7)))
        assert two.client.delete("/api/v1/canaries/7").json() == {"removed": 1}
        assert one.get(f"/api/{CANARY_CLASS}/hw1/7") == []


def followed(server: Server) -> list[str]:
    """Return the ids of all stored events, asked for page by page."""
    found: list[str] = []
    page = server.get("/api/v1/events", limit=1000)
    while page["events"]:
        found += [event["id"] for event in page["events"]]
        page = server.get("/api/v1/events", limit=1000, after=page["next"])
    return found
