"""The spool: events between capture and delivery, durable on the node's disk.

An event enters in the transaction that captures it and leaves when every sink has acknowledged it: first the
snapshot volume (where the event has content), then the backend. So a row at the backend promises that its
snapshot can be read, and each sink's outage delays only what needs that sink.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watcher_agents import spool_bound, spool_schema, wire
from watcher_agents.settings import SPOOL_BYTES
from watcher_agents.spool_bound import ROW_BYTES
from watcher_agents.spool_schema import decoded, is_content_of
from watcher_agents.state import StateDatabase

ARRIVAL_SECONDS = 5.0
"""How often to look into the spool although nothing was announced: another program may have changed it."""


@dataclass(frozen=True)
class Content:
    """A version's content and where on the snapshot volume it belongs."""

    data: bytes
    directory: str
    """Relative to the volume's root."""
    extension: str
    """Without the dot."""
    saved_ns: int
    """When it was saved, nanoseconds since the epoch; the snapshot's name follows from it."""


@dataclass(frozen=True)
class SpooledEvent:
    """An event in the spool; `content` is what the snapshot volume has yet to get."""

    sequence: int
    body: wire.Event
    workspace: str
    """Whose it is; empty: the node's."""
    content: Content | None = None


@dataclass(frozen=True)
class Backlog:
    """What waits in the spool: events, those among them whose content is not stored yet, set aside, bytes of all.

    `newest`: when the last event was recorded, delivered or not, in seconds since the epoch; 0.0 before the first.
    """

    events: int
    unstored: int
    rejected: int
    bytes: int
    newest: float


class Spool:
    """Events waiting for delivery, oldest first. Safe to use from several threads.

    It holds at most `max_bytes`. What would be more is made up for by the workspace that holds most: its oldest
    contents go, then its oldest events, each noted as a loss in the same transaction (`losses`).
    """

    def __init__(self, state: StateDatabase, max_bytes: int = SPOOL_BYTES) -> None:
        """Raises sqlite3.Error."""
        self.max_bytes = max_bytes
        self._state = state
        self._storing: frozenset[int] = frozenset()
        self._sending: frozenset[int] = frozenset()
        with state.transaction() as transaction:
            spool_schema.prepare(transaction)
            # It may have held more before.
            self._enforce(transaction)
        self._arrivals = threading.Condition()
        self._arrival_count = 0

    def append(self, transaction: sqlite3.Connection, events: Iterable[tuple[wire.Event, Content | None]]) -> None:
        """Add events with their content in the caller's transaction; an id that already waits is left alone.

        Each event says whose `workspace` it concerns. Call `announce` once the transaction has been committed.
        """
        recorded = False
        for event, content in events:
            recorded = True
            body = dict(event)
            workspace = body.pop("workspace")
            encoded = wire.encode(body)
            placed = (
                (content.data, content.directory, content.extension, content.saved_ns)
                if content
                else (None, None, None, None)
            )
            size = len(encoded) + (len(content.data) if content else 0) + ROW_BYTES
            # Not "ON CONFLICT DO NOTHING": that would use up a sequence number, and a hole means a loss.
            transaction.execute(
                "INSERT INTO event (id, body, content, directory, extension, saved_ns, bytes, workspace, is_gap)"
                " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM event WHERE id = ?)",
                (body["id"], encoded, *placed, size, workspace, body["type"] == "gap", body["id"]),
            )
        if recorded:
            transaction.execute("INSERT OR REPLACE INTO newest VALUES (1, ?)", (time.time(),))
            self._enforce(transaction)

    def _enforce(self, transaction: sqlite3.Connection) -> None:
        spool_bound.enforce(transaction, self.max_bytes, self._storing | self._sending, time.time_ns())

    def announce(self) -> None:
        """Wake whoever waits for events."""
        with self._arrivals:
            self._arrival_count += 1
            self._arrivals.notify_all()

    def arrivals(self) -> int:
        """How often events were announced; hand it to `wait_for_arrival`, read before looking into the spool."""
        with self._arrivals:
            return self._arrival_count

    def wait_for_arrival(self, seen: int) -> None:
        """Wait until something was announced after `seen` was read, or it is time to look anyway."""
        with self._arrivals:
            self._arrivals.wait_for(lambda: self._arrival_count != seen, ARRIVAL_SECONDS)

    def unstored(self, limit: int, max_bytes: int) -> list[SpooledEvent]:
        """The oldest events whose content the snapshot volume has yet to get; at least one if there is any.

        Until the next call they are not dropped for want of room, if anything else can be.
        """
        with self._state.reading() as connection:
            chosen = _oldest(connection, "content IS NOT NULL", limit, max_bytes)
            self._storing = frozenset(event.sequence for event in chosen)
        return chosen

    def ready(self, limit: int, max_bytes: int) -> list[SpooledEvent]:
        """The oldest events that only the backend has yet to get; at least one if there is any.

        Until the next call they are not dropped for want of room, if anything else can be.
        """
        with self._state.reading() as connection:
            chosen = _oldest(connection, "content IS NULL", limit, max_bytes)
            self._sending = frozenset(event.sequence for event in chosen)
        return chosen

    def mark_stored(self, stored: Sequence[tuple[SpooledEvent, str]]) -> None:
        """Note that the snapshot volume has these events' content, each at its path, and drop the content.

        A content that was declared lost meanwhile stays so.
        """
        with self._state.transaction() as transaction:
            for event, path in stored:
                body = wire.encode({**event.body, "snapshot_path": path})
                spool_bound.let_go_of_content(transaction, event.sequence, body)
        self.announce()

    def settle(self, acknowledged: Iterable[SpooledEvent], rejected: Iterable[tuple[SpooledEvent, str]]) -> None:
        """Let go of events that the backend has; set aside, with the reason, those that it will never take."""
        with self._state.transaction() as transaction:
            for event, reason in rejected:
                transaction.execute(
                    "INSERT INTO rejected (sequence, id, body, reason, bytes, workspace, is_gap)"
                    " SELECT sequence, id, body, ?, bytes + ?, workspace, is_gap FROM event WHERE sequence = ?",
                    (reason, len(reason.encode()), event.sequence),
                )
                transaction.execute("DELETE FROM event WHERE sequence = ?", (event.sequence,))
            transaction.executemany(
                "DELETE FROM event WHERE sequence = ?", ((event.sequence,) for event in acknowledged)
            )
            self._enforce(transaction)

    def backlog(self) -> Backlog:
        """What waits; the cost grows with the number of contents that wait, so ask at the pace of a scrape."""
        with self._state.reading() as connection:
            events, rejected, size = connection.execute(
                "SELECT coalesce(sum(events), 0), coalesce(sum(rejected), 0), coalesce(sum(bytes), 0) FROM holding"
            ).fetchone()
            (unstored,) = connection.execute("SELECT COUNT(*) FROM event WHERE content IS NOT NULL").fetchone()
            newest = connection.execute("SELECT recorded_at FROM newest").fetchone()
        return Backlog(events, unstored, rejected, size, newest[0] if newest else 0.0)


def _oldest(connection: sqlite3.Connection, condition: str, limit: int, max_bytes: int) -> list[SpooledEvent]:
    chosen: list[SpooledEvent] = []
    total = 0
    cursor = connection.execute(
        "SELECT bytes, sequence, body, coalesce(workspace, ''), content, directory, extension, saved_ns FROM event"
        f" WHERE {condition} ORDER BY sequence LIMIT ?",
        (limit,),
    )
    for size, sequence, body, workspace, data, *place in cursor:
        total += size
        if chosen and total > max_bytes:
            break
        event = decoded(body)
        if not is_content_of(event, data):
            # SQLite has no checksums: a content that the disk has changed would be stored as the student's.
            raise sqlite3.DatabaseError(f"the content of event {event.get('id')} is not what was put in")
        content = None if data is None else Content(data, *place)
        chosen.append(SpooledEvent(sequence, event, workspace, content))
    cursor.close()
    return chosen
