"""Delivery: brings each spooled event to the snapshot volume and then to the backend, at least once.

Two threads, each with its own sink and its own back-off, so that an outage of one delays only what needs it.
Neither ever gives an event up: it is acknowledged, set aside with its reason, or tried again. A spool that cannot
be written for a while is such an outage, too.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set
from tenacity.wait import wait_base, wait_exponential, wait_random

from watcher_agents import wire
from watcher_agents.backend_client import (
    BATCH_BYTES,
    BATCH_EVENTS,
    BackendClient,
    BackendUnavailable,
    BatchRefused,
    Result,
)
from watcher_agents.journal import about_work
from watcher_agents.lifecycle import Lifecycle
from watcher_agents.metrics import DeliveryMetrics
from watcher_agents.sink_state import SinkState
from watcher_agents.spool import Content, Spool, SpooledEvent

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0
"""How long a stopping agent goes on delivering; what is left is sent after the next start.

Short, since nothing is captured any more by then: what takes longer to stop is longer without eyes at a restart.
"""
LEAVE_SECONDS = 0.5
"""How long it then waits for what is under way. A request that is cut off is sent again and known by its ids."""

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_FAILURES_PER_TRY = 10
"""Contents that may fail in one try before the volume itself is taken to be at fault."""


class ContentStore(Protocol):
    """The sink of contents: the snapshot volume."""

    def store(self, event_id: str, content: Content) -> str:
        """Store a version's content and return its path on the volume; the same again for the same event.

        Raises OSError.
        """


class Delivery:
    """The threads that empty the spool."""

    def __init__(
        self,
        spool: Spool,
        backend: BackendClient,
        metrics: DeliveryMetrics,
        content_store: ContentStore | None,
    ) -> None:
        self._spool = spool
        self._backend = backend
        self._metrics = metrics
        self._content_store = content_store
        self._store_thread: threading.Thread | None = None
        self._send_thread: threading.Thread | None = None
        self._volume_state = SinkState("snapshot_volume")
        self._backend_state = SinkState("backend")
        self._finish_storing = threading.Event()
        self._finish_sending = threading.Event()
        self._abandon = threading.Event()

    def start(self, lifecycle: Lifecycle) -> None:
        """Begin delivering."""
        if self._content_store:
            self._store_thread = lifecycle.run_thread("store", self._store_contents)
        self._send_thread = lifecycle.run_thread("send", self._send_events)

    def stop(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Deliver what waits for at most `seconds`, stop in LEAVE_SECONDS more; what is left stays in the spool.

        Returns whether both threads have ended: one that waits for a server that does not answer cannot be ended.
        """
        deadline = time.monotonic() + seconds
        threads = []
        for thread, finish in (
            (self._store_thread, self._finish_storing),
            (self._send_thread, self._finish_sending),
        ):
            finish.set()
            self._spool.announce()
            if thread:
                thread.join(max(0.0, deadline - time.monotonic()))
                threads.append(thread)
        self._abandon.set()
        self._spool.announce()
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        waiting = self._waiting()
        if waiting != 0:
            log.warning("stopped with events=%s in the spool, sent after the next start", waiting)
        return not any(thread.is_alive() for thread in threads)

    def failing(self) -> str | None:
        """Which sinks fail or hang, since when and why, in a few words; None where none does."""
        states = (self._volume_state, self._backend_state)
        return "; ".join(problem for state in states if (problem := state.problem())) or None

    def _store_contents(self) -> None:
        self._empty(self._volume_state, self._store_batch, OSError, self._finish_storing)

    def _send_events(self) -> None:
        self._empty(self._backend_state, self._send_batch, BackendUnavailable, self._finish_sending)

    def _empty(
        self, sink: SinkState, step: Callable[[], bool], failure: type[Exception], finish: threading.Event
    ) -> None:
        """Repeat `step` while it finds something to do, wait for arrivals when it does not."""
        retrying = Retrying(
            retry=retry_if_exception_type((failure, sqlite3.OperationalError)),
            wait=_BackOff(),
            stop=stop_when_event_set(self._abandon),
            sleep=sleep_using_event(self._abandon),
            before=lambda _: sink.begun(),
            before_sleep=lambda attempt: self._report(sink, attempt),
        )
        while not self._abandon.is_set():
            seen = self._spool.arrivals()
            try:
                found = retrying(step)
            except RetryError:
                return
            sink.succeeded()
            if not found:
                if finish.is_set():
                    return
                self._spool.wait_for_arrival(seen)

    def _report(self, sink: SinkState, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        wait = attempt.next_action.sleep if attempt.next_action else 0.0
        failed = sink.name
        if isinstance(error, sqlite3.OperationalError):
            # Not the sink's fault; the status line tells it as the spool's.
            failed = "spool"
            sink.succeeded()
        else:
            sink.failed(str(error))
        self._metrics.failures.labels(failed).inc()
        log.warning(
            "%s failed: %s; events=%s wait, nothing is lost, next try in %.1f s",
            failed,
            error,
            self._waiting(),
            wait,
        )

    def _waiting(self) -> int | str:
        """How many events wait, for a log line."""
        try:
            return self._spool.backlog().events
        except sqlite3.Error as error:
            return f"unknown ({error})"

    def _store_batch(self) -> bool:
        assert self._content_store is not None
        events = self._spool.unstored(BATCH_EVENTS, BATCH_BYTES)
        stored: list[tuple[SpooledEvent, str]] = []
        failures: list[OSError] = []
        for event in events:
            assert event.content is not None
            try:
                stored.append((event, self._content_store.store(event.body["id"], event.content)))
            except OSError as error:
                # One content that fails must not hold back those behind it; the volume failing holds all.
                failures.append(error)
                if len(failures) >= _FAILURES_PER_TRY:
                    break
        if stored:
            self._spool.mark_stored(stored)
        if failures:
            raise failures[0]
        return bool(events)

    def _send_batch(self) -> bool:
        events = self._spool.ready(BATCH_EVENTS, BATCH_BYTES)
        if not events:
            return False
        results = self._send(events)
        outcomes = list(zip(events, results, strict=True))
        self._spool.settle(
            acknowledged=[event for event, result in outcomes if result.status != "rejected"],
            rejected=[
                (event, result.problem or "no reason given")
                for event, result in outcomes
                if result.status == "rejected"
            ],
        )
        for event, result in outcomes:
            self._metrics.delivered.labels(result.status).inc()
            _log_outcome(event, result)
        return True

    def _send(self, events: Sequence[SpooledEvent]) -> list[Result]:
        """Send events; a batch that is refused whole is halved until the event at fault stands alone."""
        try:
            return self._backend.send(events)
        except BatchRefused as error:
            if len(events) == 1:
                return [Result("rejected", str(error))]
            middle = len(events) // 2
            return self._send(events[:middle]) + self._send(events[middle:])


class _BackOff(wait_base):
    """Exponential with jitter, and never sooner than the backend asked for."""

    def __init__(self) -> None:
        self._exponential = wait_exponential(
            multiplier=_FIRST_WAIT_SECONDS, max=_LONGEST_WAIT_SECONDS
        ) + wait_random(0, _FIRST_WAIT_SECONDS)

    def __call__(self, retry_state: RetryCallState) -> float:
        wait = self._exponential(retry_state)
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, BackendUnavailable) and error.retry_after is not None:
            return max(wait, error.retry_after)
        return wait


def _log_outcome(event: SpooledEvent, result: Result) -> None:
    body = event.body
    kind, what = _subject(body)
    extra = about_work(event.workspace, body.get("hw_name"), body["id"]) if event.workspace else {}
    if result.status == "rejected":
        log.error(
            "API refused: type=%s %s=%s id=%s set aside: %s",
            body["type"],
            kind,
            what,
            body["id"],
            result.problem,
            extra=extra,
        )
    else:
        log.info(
            "API success: type=%s %s=%s id=%s status=%s",
            body["type"],
            kind,
            what,
            body["id"],
            result.status,
            extra=extra,
        )


def _subject(body: wire.Event) -> tuple[str, str]:
    """What an event is about, and the word for it in a log line."""
    if body["type"] == "gap":
        return "cause", body["cause"]
    return "file", body["filename"] if body["type"] == "snapshot" else body["target_path"]
