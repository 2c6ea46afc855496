"""What was answered 200 is there, whatever happens to the program, its disk or its neighbours."""

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.backend.server import Server, assert_problem
from unit.backend import samples
from watcher_backend.database_address import DatabaseAddress
from watcher_backend.storage.opening import connect

WORK = "/api/os-1/hw1/202012180"


@pytest.mark.parametrize("batch_size", [1, 50])
def test_killed_in_the_middle_of_ingest_it_has_lost_nothing_that_it_answered(
    tmp_path: Path, address: DatabaseAddress, batch_size: int
) -> None:
    answered: list[str] = []
    tried: set[str] = set()
    under_way = threading.Event()

    def work(server: Server) -> None:
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False) as client:
            while True:
                events = [samples.snapshot() for _ in range(batch_size)]
                tried.update(event["id"] for event in events)
                try:
                    results = client.post("/api/v1/events", json=samples.batch(*events)).json()["results"]
                except httpx.TransportError:
                    return  # it is dead
                answered.extend(result["id"] for result in results if result["status"] == "stored")
                if len(answered) >= 300 * batch_size:
                    under_way.set()

    with Server(tmp_path, address=address) as server:
        workers = [threading.Thread(target=work, args=(server,)) for _ in range(8)]
        for worker in workers:
            worker.start()
        assert under_way.wait(120)
        server.kill()
        for worker in workers:
            worker.join(60)
    with Server(tmp_path, address=address) as server:
        stored = _stored_ids(server)
        assert set(answered) <= stored
        assert stored <= tried
        again = server.post("/api/v1/events", samples.batch(*[samples.snapshot(id=i) for i in answered[:1000]]))
        assert {result["status"] for result in again["results"]} == {"duplicate"}


def test_sixteen_clients_at_once_lose_nothing_and_share_commits(server: Server) -> None:
    def work(client_number: int) -> None:
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False, timeout=60) as client:
            for number in range(40):
                answer = client.post(
                    f"/api/os-1/hw1/{client_number}/f{number % 5}.c/20250730_0617{number:02d}.c", json={"bytes": 7}
                )
                assert answer.status_code == 200
            batch = samples.batch(*[samples.snapshot(student_id=client_number) for _ in range(200)])
            for _ in range(2):
                assert client.post("/api/v1/events", json=batch).status_code == 200

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(_stored_ids(server)) == 16 * (40 + 200)
    for client_number in range(16):
        times = [time for file in range(5) for time in server.get(f"/api/os-1/hw1/{client_number}/f{file}.c")]
        assert sorted(times) == [f"20250730_1517{number:02d}" for number in range(40)]
    posts = 16 * (40 + 2)
    assert 0 < server.metric("watcher_ingest_commit_events_count") < posts


def test_a_full_disk_is_answered_503_and_once_there_is_room_all_is_well(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk") as disk, Server(disk, {"WATCHER_LOG_LEVEL": "WARNING"}) as server:
        server.post(f"{WORK}/before.c/20250730_061753.c", {"bytes": 1})
        filler = disk / "filler"
        _fill(filler)
        refused = accepted = 0
        for number in range(200):
            answer = server.client.post(
                "/api/v1/events", json=samples.batch(*[samples.process(student_id=number) for _ in range(50)])
            )
            if answer.status_code == 200:
                accepted += 50
                continue
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
            refused += 1
            if refused == 5:
                break
        assert refused == 5
        assert server.client.get("/healthz").status_code == 200
        assert server.get(WORK) == ["before.c"], "reading goes on"
        filler.unlink()
        server.post(f"{WORK}/after.c/20250730_061754.c", {"bytes": 1})
        assert server.get(WORK) == ["after.c", "before.c"]
        assert server.get("/readyz") == {"status": "ok"}
        assert len(_stored_ids(server)) == accepted + 2, "what was refused is not there"


def test_a_database_that_another_program_locks_is_answered_503_until_it_lets_go(server: Server) -> None:
    with closing(connect(server.address)) as other, other.connection(), other.transaction():
        for path, body in (
            (f"{WORK}/a.c/20250730_061753.c", {"bytes": 1}),
            ("/api/v1/events", samples.batch(samples.snapshot())),
        ):
            answer = server.client.post(path, json=body)
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
            assert server.get(WORK) == [], "reading goes on"
    server.post(f"{WORK}/a.c/20250730_061753.c", {"bytes": 1})
    assert server.get(WORK) == ["a.c"]


def test_more_than_can_wait_is_answered_429_and_the_rest_is_stored(server: Server) -> None:
    first_refusal = threading.Event()
    bodies = [samples.batch(*[samples.snapshot() for _ in range(1000)]) for _ in range(40)]

    def deliver(body: dict[str, Any]) -> httpx.Response:
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False, timeout=60) as client:
            answer = client.post("/api/v1/events", json=body)
            if answer.status_code != 200:
                first_refusal.set()
            return answer

    with closing(connect(server.address)) as other, other.connection(), ThreadPoolExecutor(len(bodies)) as pool:
        with other.transaction():
            deliveries = [pool.submit(deliver, body) for body in bodies]
            assert first_refusal.wait(60)
        answers = [delivery.result() for delivery in deliveries]
    stored = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    for answer in refused:
        assert_problem(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
    assert len(_stored_ids(server)) == 1000 * len(stored)


def _stored_ids(server: Server) -> set[str]:
    """Return the ids of all stored events, asked for page by page."""
    found: list[str] = []
    page = server.get("/api/v1/events", limit=1000)
    while page["events"]:
        found += [event["id"] for event in page["events"]]
        page = server.get("/api/v1/events", limit=1000, after=page["next"])
    assert len(set(found)) == len(found)
    return set(found)


@contextmanager
def _small_disk(at: Path) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def _fill(file: Path) -> None:
    """Write until the disk is full."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        for piece in (65536, 4096, 1):
            while True:
                try:
                    os.write(descriptor, b"x" * piece)
                except OSError:
                    break
    finally:
        os.close(descriptor)
