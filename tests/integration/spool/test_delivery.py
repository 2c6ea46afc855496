"""Delivery against HTTP servers that misbehave in each way that a network and a backend can."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lab import spooling
from lab.spooling import version
from lab.waiting import wait_for
from watcher_agents.backend_client import BackendClient
from watcher_agents.delivery import Delivery
from watcher_agents.lifecycle import Lifecycle
from watcher_agents.metrics import DeliveryMetrics
from watcher_agents.settings import read_agent_settings
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

Answer = Callable[["Handler", list[str]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers a batch as the test has told the server to."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ids = [event["id"] for event in body["events"]]
        self.server.requests.append((dict(self.headers), ids))
        answer = self.server.answers.pop(0) if self.server.answers else store
        answer(self, ids)

    def reply(self, status: int, document: Any, **headers: str) -> None:
        payload = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at `requests`."""


class Server(ThreadingHTTPServer):
    """A backend that remembers what it was sent and stores what it says it stored."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[dict[str, str], list[str]]] = []
        self.answers: list[Answer] = []
        self.stored: list[str] = []
        self.answer_now = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A connection that the test cuts is no error."""


def store(handler: Handler, ids: list[str]) -> None:
    duplicates = set(ids) & set(handler.server.stored)
    handler.server.stored += [one for one in ids if one not in duplicates]
    handler.reply(
        200, {"results": [{"id": one, "status": "duplicate" if one in duplicates else "stored"} for one in ids]}
    )


def fail(handler: Handler, _: list[str]) -> None:
    handler.reply(500, {"detail": "no"})


def cut(handler: Handler, _: list[str]) -> None:
    handler.close_connection = True
    handler.connection.close()


def store_and_lose_the_answer(handler: Handler, ids: list[str]) -> None:
    handler.server.stored += ids
    cut(handler, ids)


def answer_half(handler: Handler, ids: list[str]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    handler.wfile.write(b'{"results": [')
    cut(handler, ids)


def not_the_backend(handler: Handler, _: list[str]) -> None:
    handler.reply(200, "<html>log in to the campus network</html>")


def too_few_results(handler: Handler, _: list[str]) -> None:
    handler.reply(200, {"results": []})


def hang(handler: Handler, ids: list[str]) -> None:
    """Answers only when the test says so."""
    handler.server.answer_now.wait()
    store(handler, ids)


def unauthorised(handler: Handler, _: list[str]) -> None:
    handler.reply(401, {"detail": "token expired"})


def busy(handler: Handler, _: list[str]) -> None:
    handler.reply(429, {"detail": "busy"}, Retry_After="2")


def refuse_poison(handler: Handler, ids: list[str]) -> None:
    """Refuses any batch with the event `poison` whole, as a backend that cannot read it does."""
    handler.server.answers.append(refuse_poison)
    if "poison" in ids:
        handler.reply(422, {"detail": "cannot be read"})
    else:
        store(handler, ids)


def reject_one(handler: Handler, ids: list[str]) -> None:
    rejected = {"id": ids[0], "status": "rejected", "problem": "size is -1: expected 0 or more"}
    handler.server.stored += ids[1:]
    handler.reply(200, {"results": [rejected, *({"id": one, "status": "stored"} for one in ids[1:])]})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
def delivery(server: Server, spool: Spool, lifecycle: Lifecycle) -> Iterator[Delivery]:
    url = f"http://127.0.0.1:{server.server_port}"
    settings = read_agent_settings({"WATCHER_API_URL": url, "WATCHER_API_TOKEN": "example"}, "filemon", 9090)
    with closing(BackendClient(settings, "filemon")) as backend:
        running = Delivery(spool, backend, DeliveryMetrics(CollectorRegistry()), None)
        running.start(lifecycle)
        yield running
        assert running.stop(0.0)
    assert lifecycle.exit_code == 0


def add(state: StateDatabase, spool: Spool, *names: str) -> None:
    spooling.add(state, spool, *map(version, names))


@pytest.mark.parametrize("trouble", [fail, cut, answer_half, not_the_backend, too_few_results, unauthorised])
@pytest.mark.usefixtures("delivery")
def test_what_is_not_acknowledged_is_sent_again(
    server: Server, state: StateDatabase, spool: Spool, trouble: Answer
) -> None:
    server.answers.append(trouble)
    add(state, spool, "a", "b")
    wait_for(lambda: server.stored == ["a", "b"], "both events")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert [ids for _, ids in server.requests] == [["a", "b"]] * 2


def test_a_sink_is_told_to_fail_until_it_takes_something(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery
) -> None:
    assert delivery.failing() is None
    server.answers.append(busy)
    add(state, spool, "a")
    problem = wait_for(delivery.failing, "the failure to be told") or ""
    assert problem.startswith("backend failing for ")
    assert "(HTTP 429: busy)" in problem
    wait_for(lambda: delivery.failing() is None, "the failure to be over")
    assert server.stored == ["a"]


@pytest.mark.usefixtures("delivery")
def test_an_answer_that_is_lost_makes_no_second_row(server: Server, state: StateDatabase, spool: Spool) -> None:
    server.answers.append(store_and_lose_the_answer)
    add(state, spool, "a")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert server.stored == ["a"]
    assert len(server.requests) == 2


@pytest.mark.usefixtures("delivery")
def test_the_backend_is_left_alone_for_as_long_as_it_asked(
    server: Server, state: StateDatabase, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers.append(busy)
    add(state, spool, "a")
    wait_for(lambda: server.stored == ["a"], "the event")
    (record,) = [record for record in caplog.records if "next try in" in record.getMessage()]
    assert "next try in 2.0 s" in record.getMessage()


@pytest.mark.usefixtures("delivery")
def test_a_rejected_event_is_set_aside_and_those_behind_it_flow(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    server.answers.append(reject_one)
    add(state, spool, "bad", "good")
    wait_for(lambda: server.stored == ["good"], "the good event")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert spool.backlog().rejected == 1


@pytest.mark.usefixtures("delivery")
def test_a_batch_that_is_refused_whole_is_halved_until_the_event_at_fault_stands_alone(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    server.answers.append(refuse_poison)
    names = [str(number) for number in range(20)]
    add(state, spool, *names[:7], "poison", *names[7:])
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert sorted(server.stored) == sorted(names)
    assert spool.backlog().rejected == 1


@pytest.mark.usefixtures("delivery")
def test_the_token_goes_with_each_request_and_nowhere_else(
    server: Server, state: StateDatabase, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers += [unauthorised, fail]
    add(state, spool, "a")
    wait_for(lambda: server.stored == ["a"], "the event")
    assert {headers["Authorization"] for headers, _ in server.requests} == {"Bearer example"}
    assert "example" not in caplog.text


def test_a_stop_delivers_what_waits(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery
) -> None:
    server.answers.append(fail)
    add(state, spool, "a")
    assert delivery.stop(10.0)
    assert server.stored == ["a"]
    assert spool.backlog().events == 0


def test_a_backend_that_does_not_answer_holds_up_no_stop(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery
) -> None:
    server.answers.append(hang)
    add(state, spool, "a")
    wait_for(lambda: server.requests, "the request")
    assert not delivery.stop(0.0)
    assert spool.backlog().events == 1
    server.answer_now.set()
    wait_for(lambda: delivery.stop(0.0), "the sender to end")
