"""The one writer: takes what all requests want stored and commits it in groups.

A commit costs a disk flush whether it holds one event or a thousand. So requests queue their events, and a
single thread writes everything that waits in one transaction and then tells each request how its own fared.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import (
    DataError,
    IntegrityError,
    NotSupportedError,
    PeeweeException,
    ProgrammingError,
)

from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.records import Record

_log = logging.getLogger(__name__)

# These say that the statement or a value in it is wrong; everything else, that the database cannot now.
_DEFECTS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


class QueueFullError(Exception):
    """More events wait than the writer may hold; try again later."""


class StorageUnavailableError(Exception):
    """The database refused (full, locked, read-only, gone) or the writer is stopping. Nothing was stored."""


@dataclass(frozen=True)
class _Submission:
    records: Sequence[Record]
    outcome: "asyncio.Future[list[bool]]"


@dataclass(frozen=True)
class _CanaryRemoval:
    student_id: int
    outcome: "asyncio.Future[int]"


_Answer = tuple["asyncio.Future[Any]", object]
"""Who waits, and for what: a result, or the exception that is to be raised there."""


class IngestWriter:
    """A bounded queue and the thread that empties it into the database."""

    def __init__(
        self,
        database: Database,
        *,
        capacity: int = 20_000,
        group_limit: int = 4_000,
        on_commit: Callable[[int, float], None] = lambda events, seconds: None,
    ) -> None:
        """Prepare a writer; `start` sets it going.

        capacity: how many events may wait. group_limit: at how many events a transaction takes no further
        request. on_commit: called in the writer's thread with the events and seconds of each transaction.
        """
        self._database = database
        self._store = EventStore(database)
        self._capacity = capacity
        self._group_limit = group_limit
        self._on_commit = on_commit
        self._changed = threading.Condition()
        self._queue: deque[_Submission | _CanaryRemoval] = deque()
        self._waiting_events = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)

    def start(self) -> None:
        """Start the writing thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Refuse new events, write those that wait, end; return whether ``timeout`` seconds were enough."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the writing thread runs and takes events."""
        return self._thread.is_alive() and not self._stopping

    @property
    def waiting_events(self) -> int:
        """How many events wait to be written."""
        return self._waiting_events

    async def remove_canary(self, student_id: int) -> int:
        """Return, once it is committed, how many events of this canary were removed.

        What was queued before is written before, so it is removed too. Raises StorageUnavailableError where
        the database refuses; nothing is removed then.
        """
        removal = _CanaryRemoval(student_id, asyncio.get_running_loop().create_future())
        with self._changed:
            self._refuse_when_stopping()
            self._queue.append(removal)
            self._changed.notify()
        return await removal.outcome

    async def store(self, records: Sequence[Record]) -> list[bool]:
        """Return, once all are committed, for each event whether it is new (False: stored before).

        Raises QueueFullError where too much waits already, StorageUnavailableError where the database
        refuses. In both cases none of the events is stored.
        """
        if not records:
            return []
        submission = _Submission(records, asyncio.get_running_loop().create_future())
        with self._changed:
            self._refuse_when_stopping()
            if self._waiting_events and self._waiting_events + len(records) > self._capacity:
                raise QueueFullError
            self._waiting_events += len(records)
            self._queue.append(submission)
            self._changed.notify()
        return await submission.outcome

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise StorageUnavailableError("the service is stopping")

    def _run(self) -> None:
        while work := self._next_work():
            if isinstance(work, _CanaryRemoval):
                self._remove(work)
            else:
                self._commit(work)
        self._disconnect()

    def _next_work(self) -> "list[_Submission] | _CanaryRemoval":
        """Wait for work; return a removal, or the submissions that wait up to the group limit.

        Empty when stopped and drained.
        """
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            group: list[_Submission] = []
            events = 0
            while self._queue:
                first = self._queue[0]
                if isinstance(first, _CanaryRemoval):
                    if not group:
                        self._queue.popleft()
                        return first
                    break
                if group and events + len(first.records) > self._group_limit:
                    break
                self._queue.popleft()
                group.append(first)
                events += len(first.records)
            self._waiting_events -= events
            return group

    def _remove(self, removal: _CanaryRemoval) -> None:
        try:
            removed = self._store.remove_canary(removal.student_id)
        except Exception as error:  # noqa: BLE001  # as in _commit: the thread outlives it, the request answers it
            self._disconnect()
            _log.error("cannot remove the canary %d: %s", removal.student_id, error)
            refused = isinstance(error, PeeweeException) and not isinstance(error, _DEFECTS)
            _settle([(removal.outcome, StorageUnavailableError(str(error)) if refused else error)])
            return
        _settle([(removal.outcome, removed)])

    def _commit(self, group: Sequence[_Submission]) -> None:
        records = [record for submission in group for record in submission.records]
        started = time.perf_counter()
        try:
            outcomes = self._store.write(records)
        except Exception as error:  # noqa: BLE001  # the reason follows
            # The thread serves everyone and must outlive whatever one request brought: the error is logged
            # here and handed to the requests that wait, which answer it.
            self._disconnect()
            self._fail(group, error)
            return
        self._on_commit(len(records), time.perf_counter() - started)
        self._resolve(group, outcomes)

    def _fail(self, group: Sequence[_Submission], error: Exception) -> None:
        if isinstance(error, PeeweeException) and not isinstance(error, _DEFECTS):
            _log.error("database refused %d requests' events: %s", len(group), error)
            refusal = StorageUnavailableError(str(error))
            _settle([(submission.outcome, refusal) for submission in group])
        elif len(group) > 1:
            # One request's events cannot be stored at all; the others must not fail with it.
            for submission in group:
                self._commit([submission])
        else:
            _log.error("cannot store %d events", len(group[0].records), exc_info=error)
            _settle([(group[0].outcome, error)])

    def _resolve(self, group: Sequence[_Submission], outcomes: Sequence[bool]) -> None:
        answers: list[_Answer] = []
        position = 0
        for submission in group:
            end = position + len(submission.records)
            answers.append((submission.outcome, list(outcomes[position:end])))
            position = end
        _settle(answers)

    def _disconnect(self) -> None:
        """Drop this thread's connection: after a failure the next transaction starts on a fresh one."""
        try:
            self._database.discard_connection()
        except PeeweeException as error:
            _log.warning("closing the writer's connection failed: %s", error)


def _settle(answers: Sequence[_Answer]) -> None:
    """Hand each request its answer, in its event loop; all requests are served by one loop."""

    def settle() -> None:
        for outcome, answer in answers:
            if outcome.done():
                continue  # the client has gone away
            if isinstance(answer, Exception):
                outcome.set_exception(answer)
            else:
                outcome.set_result(answer)

    answers[0][0].get_loop().call_soon_threadsafe(settle)
