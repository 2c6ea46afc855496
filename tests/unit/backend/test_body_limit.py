"""The body limit, against an ASGI server's messages."""

import asyncio
import json
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from watcher_backend.body_limit import BodyLimit


def ask(headers: list[tuple[bytes, bytes]], *pieces: bytes | None) -> tuple[list[Message], list[bytes], int]:
    """Send a request whose body comes in pieces (None: the client leaves).

    Return what was answered, the bodies that the app saw, and how many messages were never taken.
    """
    messages: list[Message] = [
        {"type": "http.disconnect"}
        if piece is None
        else {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, start=1)
    ]
    answered: list[Message] = []
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await receive()).get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": headers}
    asyncio.run(BodyLimit(app, max_bytes=10)(scope, receive, send))
    return answered, seen, len(messages)


def test_a_body_within_the_limit_reaches_the_app_in_one_piece() -> None:
    answered, seen, _ = ask([(b"transfer-encoding", b"chunked")], b"01234", b"5678", b"9")
    assert seen == [b"0123456789"]
    assert answered[0]["status"] == 200


def test_a_longer_body_is_refused_as_a_problem_and_the_connection_closes_after_it_was_taken() -> None:
    answered, seen, left = ask([(b"content-length", b"11")], b"012345", b"67890")
    assert seen == []
    assert answered[0]["status"] == 413
    assert (b"connection", b"close") in answered[0]["headers"]
    problem = json.loads(answered[1]["body"])
    assert (problem["status"], problem["title"]) == (413, "Content Too Large")
    assert [message.get("more_body") for message in answered[1:]] == [True, False]
    assert left == 0


def test_a_body_is_measured_whatever_its_length_is_said_to_be() -> None:
    for headers in ([(b"transfer-encoding", b"chunked")], [(b"content-length", b"3")]):
        answered, seen, left = ask(headers, b"0123456789", b"0", b"123")
        assert seen == []
        assert answered[0]["status"] == 413
        assert left == 0


def test_a_client_that_leaves_in_the_middle_is_not_answered() -> None:
    answered, seen, _ = ask([(b"content-length", b"9")], b"0123", None)
    assert (answered, seen) == ([], [])
    answered, seen, _ = ask([(b"content-length", b"9")], None)
    assert (answered, seen) == ([], [])
