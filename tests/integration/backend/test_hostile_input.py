"""Bad input of every kind: a 4xx that says what is wrong, in the one shape, and a server that lives on."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from integration.backend.server import Server, assert_problem
from lab.postgres import BOTH, empty_database
from unit.backend import samples


@pytest.fixture(scope="module", params=BOTH)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them, on each database: it has to survive them all."""
    directory = tmp_path_factory.mktemp("hostile")
    with empty_database(request, directory) as address, Server(directory, address=address) as running:
        yield running
        assert "Traceback" not in running.log()


WORK = "/api/os-1/hw1/202012180"
LOG = {
    "cmdline": "x", "exit_code": 0, "cwd": "/", "target_path": "x", "process_type": "python",
    "binary_path": "/x", "timestamp": "2025-10-22T20:31:55",
}  # fmt: skip
WRONG_TYPES: list[str] = [
    "null", "true", '"5"', "5.5", "[]", "{}", "NaN", "Infinity", "-1", "1e999", "9" * 400, "9" * 5000,
    "9223372036854775808", '"\\ud800"', '"a\\u0000b"', "[" * 500 + "]" * 500,
]  # fmt: skip


@pytest.mark.parametrize("number", WRONG_TYPES, ids=lambda value: value[:20])
def test_a_size_or_an_exit_code_that_is_none(server: Server, number: str) -> None:
    snapshot = _post(server, f"{WORK}/a.c/20250730_061753.c", f'{{"bytes": {number}}}')
    assert "bytes" in assert_problem(snapshot, 422)["detail"] or "JSON" in snapshot.json()["detail"]
    if number == "-1":
        return  # an exit code may be negative
    log = json.dumps({**LOG, "exit_code": 123454321}).replace("123454321", number)
    for kind in ("build", "run"):
        assert_problem(_post(server, f"{WORK}/logs/{kind}", log), 422)
    assert server.get(f"{WORK}/a.c") == []


@pytest.mark.parametrize("field", [name for name in LOG if name != "exit_code"])
def test_text_that_is_none(server: Server, field: str) -> None:
    for value in ("null", "5", "[]", "{}", '"\\ud800"', '"a\\u0000"', "true"):
        body = json.dumps({**LOG, field: "MARK"}).replace('"MARK"', value)
        kind = "run" if field == "process_type" else "build"
        problem = assert_problem(_post(server, f"{WORK}/logs/{kind}", body), 422)
        assert field in problem["detail"] or "JSON" in problem["detail"]


@pytest.mark.parametrize(
    "timestamp",
    ["2025-13-45T00:00:00", "2025-02-30T10:00:00", "1969-12-31T00:00:00Z", "0001-01-01T00:00:00", "2025-07-30",
     "9999-12-31T23:59:59-23:00", "now", "", "1753856273", "2025-07-30T06:17:53+99:00", "T" * 300],
)  # fmt: skip
def test_a_time_that_no_clock_shows(server: Server, timestamp: str) -> None:
    for kind in ("build", "run"):
        problem = assert_problem(
            _post(server, f"{WORK}/logs/{kind}", json.dumps({**LOG, "timestamp": timestamp})), 422
        )
        assert problem["errors"][0]["field"] == "timestamp"


@pytest.mark.parametrize(
    "timestamp", ["20251345_000000.c", "20250230_000000", "x", "2025-07-30", "20250730_256199", "19691231_235959",
                  ".c", "0" * 300, "%00", "20250730_06175%33%0A", "%D9%A2025730_061753"],
)  # fmt: skip
def test_a_snapshot_name_that_is_no_time(server: Server, timestamp: str) -> None:
    problem = assert_problem(_post(server, f"{WORK}/a.c/{timestamp}", '{"bytes": 1}'), 422)
    assert problem["errors"][0]["field"] == "timestamp"


@pytest.mark.parametrize(
    "filename", ["%2e%2e", "%2E", "..@a.c", "a@..@b.c", "a@%2e%2e", "a%00.c", "a%0a.c", "a%7f.c", "x" * 256]
)
def test_a_file_name_that_is_a_path_trick_or_too_long(server: Server, filename: str) -> None:
    for answer in (
        _post(server, f"{WORK}/{filename}/20250730_061753.c", '{"bytes": 1}'),
        _raw(server, "GET", f"{WORK}/{filename}"),
    ):
        assert assert_problem(answer, 422)["errors"][0]["field"] == "filename"


@pytest.mark.parametrize("filename", ["..%2fetc", "a%2fb", "../../x", "a/b", "%2f"])
def test_a_slash_in_a_file_name_however_written_names_nothing(server: Server, filename: str) -> None:
    before = server.get("/api/v1/events")["next"]
    assert_problem(_post(server, f"{WORK}/{filename}/20250730_061753.c", '{"bytes": 1}'), 404, 405, 422)
    assert server.get("/api/v1/events", after=before) == {"events": [], "next": before}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/os%201/hw1/1", "class_div"),
        ("/api/-os/hw1/1", "class_div"),
        (f"/api/{'x' * 300}/hw1/1", "class_div"),
        ("/api/os-1%0a/hw1/1", "class_div"),
        ("/api/os-1/h%00w/1", "hw_name"),
        ("/api/os-1/%2e%2e/1", "hw_name"),
        (f"/api/os-1/{'x' * 65}/1", "hw_name"),
        ("/api/os-1/hw1/-1", "student_id"),
        ("/api/os-1/hw1/unknown", "student_id"),
        (f"/api/os-1/hw1/{'9' * 19}", "student_id"),
        (f"/api/os-1/hw1/{'9' * 5000}", "student_id"),
        ("/api/os-1/hw1/1_0", "student_id"),
        ("/api/os-1/hw1/%D9%A3", "student_id"),
        ("/api/os-1/hw1/1.0", "student_id"),
    ],
)
def test_a_class_assignment_or_student_that_cannot_be(server: Server, path: str, field: str) -> None:
    for answer in (
        _raw(server, "GET", path),
        _raw(server, "GET", f"{path}/logs/run"),
        _post(server, f"{path}/logs/run", json.dumps(LOG)),
        _post(server, f"{path}/a.c/20250730_061753.c", '{"bytes": 1}'),
    ):
        assert assert_problem(answer, 422)["errors"][0]["field"] == field


BODIES = [
    b"", b"{", b"nul", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 100_000, b"5", b"null", b"[]",
    b"{}",
    b'"' + b"x" * 100_000, b"{}{}", b"\0", b'{"bytes": 1,}', b"{'bytes': 1}", '{"bytes": 1}'.encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:15]))
def test_a_body_that_is_not_the_json_that_is_expected(server: Server, body: bytes) -> None:
    for path in (f"{WORK}/a.c/20250730_061753.c", f"{WORK}/logs/build", f"{WORK}/logs/run", "/api/v1/events"):
        assert_problem(_post(server, path, body), 422)


def test_a_body_of_another_type(server: Server) -> None:
    for path in (f"{WORK}/a.c/20250730_061753.c", f"{WORK}/logs/run", "/api/v1/events"):
        for content_type in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "json",
        ):
            answer = _raw(server, "POST", path, b'{"bytes": 1}', {"Content-Type": content_type})
            assert_problem(answer, 415)


def test_a_json_body_may_say_its_character_set_or_nothing(server: Server) -> None:
    for number, headers in enumerate(
        ({}, {"Content-Type": "application/json; charset=utf-8"}, {"Content-Type": "Application/JSON"})
    ):
        answer = _raw(server, "POST", f"{WORK}/charset.c/20250730_06175{number}.c", b'{"bytes": 1}', headers)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "x\0"}, "limit"),
        ({"after": "zz"}, "after"),
        ({"after": "é" * 300}, "after"),
        ({"after": "AQAAAAAAAAAC="}, "after"),
        ({"type": "gap"}, "type"),
        ({"student_id": "1_0"}, "student_id"),
        ({"student_id": "-1"}, "student_id"),
        ({"class_div": "a b"}, "class_div"),
        ({"hw_name": "x" * 65}, "hw_name"),
        ({"hw_name": "'; DROP TABLE event; --"}, "hw_name"),
    ],
)
def test_a_query_that_makes_no_sense(server: Server, parameters: dict[str, str], field: str) -> None:
    problem = assert_problem(server.client.get("/api/v1/events", params=parameters), 422)
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"after": "zz"}, "after"),
        ({"after": "AQAAAAAAAAAC"}, "after"),  # of the list of events
        ({"node": ""}, "node"),
        ({"node": "x" * 254}, "node"),
        ({"node": "a\nb"}, "node"),
        ({"agent": "kubelet"}, "agent"),
        ({"cause": "bad luck"}, "cause"),
        ({"class_div": "a b"}, "class_div"),
        ({"student_id": "1_0"}, "student_id"),
        ({"node_wide": "maybe"}, "node_wide"),
        ({"concerning_student": "x"}, "concerning_student"),
        ({"concerning_student": "true"}, "concerning_student"),
        ({"concerning_student": "true", "class_div": "os-1"}, "concerning_student"),
        ({"concerning_student": "true", "student_id": "7", "node_wide": "false"}, "node_wide"),
        ({"node_wide": "true", "student_id": "7"}, "node_wide"),
        ({"node_wide": "true", "class_div": "os-1"}, "node_wide"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2025-07-30T06:17:53Z"}, "from"),
        ({"to": "1753856273"}, "to"),
        ({"to": "2025-13-45T00:00:00.000000Z"}, "to"),
        ({"from": "2025-07-30T06:17:53.417001Z", "to": "2025-07-30T06:17:53.417000Z"}, "from"),
    ],
)
def test_a_query_for_gaps_that_makes_no_sense(server: Server, parameters: dict[str, str], field: str) -> None:
    problem = assert_problem(server.client.get("/api/v1/gaps", params=parameters), 422)
    assert problem["errors"][0]["field"] == field


def test_an_event_id_that_is_none(server: Server) -> None:
    for event_id in ("1", "F" * 32, "f" * 33, "%00", "f" * 31 + "%0a", "%2e%2e"):
        for path in (
            f"/api/v1/events/{event_id}",
            f"/api/v1/events/{event_id}/content",
            f"/api/v1/gaps/{event_id}",
        ):
            assert assert_problem(_raw(server, "GET", path), 422)["errors"][0]["field"] == "id"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_a_method_or_an_address_that_is_not_offered(server: Server, method: str) -> None:
    answer = server.client.request(method, WORK)
    assert_problem(answer, 405)
    assert "GET" in answer.headers["allow"]
    for path in ("/", "/api", "/api/a/b", "/api/v2/events", "/docs/x", "/static-offline-docs/../app.py", "/%00"):
        assert_problem(_raw(server, method, path), 404, 405)
        assert_problem(_raw(server, "GET", path), 404)


def test_events_that_break_the_contract_are_rejected_one_by_one_and_never_the_server(server: Server) -> None:
    before = server.get("/api/v1/events")["next"]
    gaps_before = server.get("/api/v1/gaps")["next"]
    events = [samples.snapshot(), *_hostile_events(), samples.process()]
    for start in range(0, len(events), 500):
        piece = json.dumps(samples.batch(*events[start : start + 500])).encode()
        answer = _post(server, "/api/v1/events", piece.replace(b"123454321", b"9" * 5000))
        assert answer.status_code == 200, answer.text
        for event, result in zip(events[start : start + 500], answer.json()["results"], strict=True):
            good = event is events[0] or event is events[-1]
            assert result["status"] == ("stored" if good else "rejected"), event
            assert good or result["problem"].isprintable()
    assert len(server.get("/api/v1/events", after=before)["events"]) == 2
    assert server.get("/api/v1/gaps", after=gaps_before)["gaps"] == []


def _hostile_events() -> Iterator[Any]:
    for make in (samples.snapshot, samples.process, samples.gap):
        for field in make():
            for value in ({}, {"a": [None]}, 1.5, 123454321, 10**30, "\ud800", "a\0b", "x" * 10_000):
                # Where a field takes any text, only what no text can be is wrong with it.
                if field != "argv":
                    yield make(**{field: value})
        yield make(surplus=1)
    yield from (None, 5, "x", [], {}, [[]], {"type": "snapshot"}, {"type": {}}, {"type": "gap"})


def test_a_body_of_fifty_megabytes_with_its_length_said(server: Server) -> None:
    for path in ("/api/v1/events", f"{WORK}/a.c/20250730_061753.c", "/nowhere"):
        problem = assert_problem(server.client.post(path, content=b" " * 50_000_000), 413)
        assert "8388608 bytes" in problem["detail"]
    assert server.get("/healthz") == {"status": "ok"}


def test_a_body_of_fifty_megabytes_in_pieces_of_unsaid_length(server: Server) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 1_000_000

    for path in ("/api/v1/events", f"{WORK}/logs/run"):
        assert_problem(server.client.post(path, content=pieces()), 413)
    assert server.metric("process_resident_memory_bytes") < 200e6
    assert server.get("/healthz") == {"status": "ok"}


def test_the_largest_body_that_is_allowed_is_read(server: Server) -> None:
    body = json.dumps({**LOG, "cmdline": "x" * 8_000_000}).encode()
    assert _post(server, f"{WORK}/logs/run", body.ljust(8 * 1024 * 1024)).status_code == 200
    assert_problem(_post(server, f"{WORK}/logs/run", body.ljust(8 * 1024 * 1024 + 1)), 413)


@pytest.mark.parametrize("length", ["-1", "x", "18446744073709551617", "5, 6"])
def test_a_length_that_is_none_closes_the_connection_and_nothing_else(server: Server, length: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as connection:
        connection.sendall(
            f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
        )
        status = connection.recv(65536).split(b" ", 2)[1]
    assert status in (b"400", b"413", b"422")
    assert server.get("/healthz") == {"status": "ok"}


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(server: Server) -> None:
    for _ in range(20):
        with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as connection:
            connection.sendall(
                f"POST {WORK}/gone.c/20250730_061753.c HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
    assert server.get(f"{WORK}/gone.c") == []
    assert "Traceback" not in server.log()


def test_nothing_of_all_this_is_an_unexpected_error(server: Server) -> None:
    """A name from outside cannot forge a log line, and no bad request leaves a trace in the log."""
    forged = "a%0aINFO:%20forged"
    _raw(server, "GET", f"{WORK}/{forged}")
    _post(server, "/api/v1/events", json.dumps(samples.batch({"id": "\nINFO: forged", "type": "\nINFO: forged"})))
    _post(server, f"{WORK}/logs/run", json.dumps({**LOG, "target_path": "x\nINFO: forged"}))
    agent = {"name": "filemon", "node": "n\u2028INFO: forged", "release": "1"}
    _post(server, "/api/v1/events", json.dumps({**samples.batch(samples.snapshot()), "agent": agent}))
    assert not any(line.startswith("INFO: forged") for line in server.log().splitlines())
    assert "Traceback" not in server.log()


def _post(server: Server, path: str, body: str | bytes) -> httpx.Response:
    content = body if isinstance(body, bytes) else body.encode()
    return _raw(server, "POST", path, content, {"Content-Type": "application/json"})


def _raw(
    server: Server, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Send a path exactly as it is written: the client would tidy dots and escapes away."""
    url = httpx.URL(f"http://127.0.0.1:{server.port}", raw_path=path.encode())
    return server.client.request(method, url, content=content, headers=headers)
