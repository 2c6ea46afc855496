"""An HTTP server in the backend's place that answers as badly as a test tells it to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", list[str]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers a batch as the test has told the server to."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ids = [event["id"] for event in body["events"]]
        assert self.path == "/api/v1/events", f"the agent followed a redirect to {self.path}"
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


def wrong_ids(handler: Handler, ids: list[str]) -> None:
    """As many results as events, and of another batch."""
    handler.reply(200, {"results": [{"id": f"{one}x", "status": "stored"} for one in ids]})


def same_id_twice(handler: Handler, ids: list[str]) -> None:
    handler.reply(200, {"results": [{"id": ids[0], "status": "stored"} for _ in ids]})


def overloaded(handler: Handler, _: list[str]) -> None:
    handler.reply(503, {"detail": "no room"})


def redirect_elsewhere(handler: Handler, _: list[str]) -> None:
    handler.reply(307, {"detail": "moved"}, Location=f"http://127.0.0.1:{handler.server.server_port}/elsewhere")


def store_in_another_order(handler: Handler, ids: list[str]) -> None:
    """Stores all but the first, and tells of them from the last on."""
    handler.server.stored += ids[1:]
    results = [{"id": ids[0], "status": "rejected", "problem": "no"}]
    results += [{"id": one, "status": "stored"} for one in ids[1:]]
    handler.reply(200, {"results": results[::-1]})


def too_large(handler: Handler, ids: list[str]) -> None:
    """A proxy that takes no event of this name."""
    handler.server.answers.append(too_large)
    if "large" in ids:
        handler.reply(413, "<html>413 Request Entity Too Large</html>")
    else:
        store(handler, ids)


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
