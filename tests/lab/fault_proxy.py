"""A proxy between the agents and the backend that misbehaves as told: HTTP/1.1 as the agents speak it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal

from lab.stack import free_port

Mode = Literal[
    "pass",
    "500",
    "503",
    "429",
    "hang",
    "cut request",
    "cut answer",
    "lose answer",
    "refuse",
    "slow",
    "foreign page",
]

_RETRY_AFTER_SECONDS = 2
_SLOW_SECONDS = 1.5
_HEAD_END = b"\r\n\r\n"
_ANSWERS = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nbroken",
    "503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "429": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"
    % _RETRY_AFTER_SECONDS,
    "foreign page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
}


class FaultProxy:
    """Forwards to `backend_port`, or does what `mode` says; a context manager. Its own port stays the same."""

    def __init__(self, backend_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.hits: Counter[Mode] = Counter()
        """How many requests met each mode; of "refuse" it cannot be known."""
        self._backend_port = backend_port
        self._mode: Mode = "pass"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mode_changed = asyncio.Event()

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def mode(self) -> Mode:
        """What it does to each request."""
        return self._mode

    def behave(self, mode: Mode) -> None:
        """Do this from now on; connections that are open are cut, as those of a proxy that was restarted are."""

        async def change() -> None:
            self._mode = mode
            self._mode_changed.set()
            self._mode_changed = asyncio.Event()
            self._cut_connections()
            if mode == "refuse":
                await self._stop_listening()
            elif self._server is None:
                await self._listen()

        self._do(change)

    def _do(self, what: Callable[[], Awaitable[None]]) -> None:
        async def done() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(timeout=30.0)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._stop_listening()
        self._cut_connections()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut_connections(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            # The agent or the backend ended, or the connection was cut by a change of the mode.
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether another may follow on this connection."""
        head = await reader.readuntil(_HEAD_END)
        mode = self._mode
        self.hits[mode] += 1
        if mode == "cut request":
            await reader.readexactly(_length(head) // 2)
            writer.transport.abort()
            return False
        request = head + await reader.readexactly(_length(head))
        if mode == "hang":
            await self._mode_changed.wait()
            writer.transport.abort()
            return False
        if mode in _ANSWERS:
            writer.write(_ANSWERS[mode])
            await writer.drain()
            return True
        if mode == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        answer = await self._ask_backend(request)
        if mode == "lose answer":
            writer.transport.abort()
            return False
        if mode == "cut answer":
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
            writer.transport.abort()
            return False
        writer.write(answer)
        await writer.drain()
        return True

    async def _ask_backend(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._backend_port)
        try:
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(_HEAD_END)
            return head + await reader.readexactly(_length(head))
        finally:
            writer.close()


def _length(head: bytes) -> int:
    """Content-Length of a request or an answer."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
