"""ASGI middleware that holds a request's body to a size, whatever its Content-Length says."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher_backend.problems import ProblemError, problem_response

MAX_BODY_BYTES = 8 * 1024 * 1024

# After a refusal the rest of the body is read and dropped up to these bounds before the connection closes.
# Closing at once would reset the connection while the client still writes, and it would never see the answer.
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_SECONDS = 10.0


class BodyLimit:
    """Reads the whole body before the app sees the request; a longer one is answered 413."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared: int | None = None
        has_body = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                declared = int(value)  # the server has refused what is no number
                has_body = True
            elif name == b"transfer-encoding":
                has_body = True
        if not has_body:
            await self._app(scope, receive, send)
            return
        if declared is not None and declared > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            return  # the client went away: nobody is there to answer
        if len(body) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | bytearray | None:
        """Return the body, or, where it is too long, the part that shows it; None if the client left."""
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body: bytes | bytearray = message.get("body", b"")
        if message.get("more_body", False):
            body = bytearray(body)
            while message.get("more_body", False) and len(body) <= self._max_bytes:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
        return body

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_but_keep_open(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "more_body": True}
            await send(message)

        response = problem_response(
            ProblemError(
                413,
                f"the body is longer than {self._max_bytes} bytes",
                headers={"Connection": "close"},
            )
        )
        await response(scope, receive, send_but_keep_open)
        await _drop_rest(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drop_rest(receive: Receive) -> None:
    async def drop() -> None:
        dropped = 0
        while dropped < _LINGER_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
            dropped += len(message.get("body", b""))

    try:
        await asyncio.wait_for(drop(), _LINGER_SECONDS)
    except asyncio.TimeoutError:
        return  # it had its time; the connection closes now


def _replay(body: bytes | bytearray, receive: Receive) -> Receive:
    """Return a receive that gives the body in one piece and then what the server says (disconnects)."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return replay
