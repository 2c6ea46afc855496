"""The spool: events between capture and delivery, durable on the node's disk.

An event enters in the transaction that captures it and leaves when every sink has acknowledged it: first the
snapshot volume (where the event has content), then the backend. So a row at the backend promises that its
snapshot can be read, and each sink's outage delays only what needs that sink.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watcher_agents import wire
from watcher_agents.state import StateDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    content BLOB,
    directory TEXT,
    extension TEXT,
    saved_ns INTEGER,
    bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS event_unstored ON event (sequence) WHERE content IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_bytes ON event (bytes);
CREATE TABLE IF NOT EXISTS rejected (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS newest (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    recorded_at REAL NOT NULL
);
"""


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
    content: Content | None = None


@dataclass(frozen=True)
class Backlog:
    """What waits in the spool: events, those among them whose content is not stored yet, set aside, bytes.

    `newest`: when the last event was recorded, delivered or not, in seconds since the epoch; 0.0 before the first.
    """

    events: int
    unstored: int
    rejected: int
    bytes: int
    newest: float


class Spool:
    """Events waiting for delivery, oldest first. Safe to use from several threads."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        with state.reading() as connection:
            connection.executescript(_SCHEMA)
        self._arrivals = threading.Condition()
        self._arrival_count = 0

    def append(self, transaction: sqlite3.Connection, events: Iterable[tuple[wire.Event, Content | None]]) -> None:
        """Add events with their content in the caller's transaction; an id that already waits is left alone.

        Call `announce` once the transaction has been committed.
        """
        recorded = False
        for body, content in events:
            recorded = True
            encoded = wire.encode(body)
            placed = (
                (content.data, content.directory, content.extension, content.saved_ns)
                if content
                else (None, None, None, None)
            )
            size = len(encoded) + (len(content.data) if content else 0)
            # Not "ON CONFLICT DO NOTHING": that would use up a sequence number, and a hole means a loss.
            transaction.execute(
                "INSERT INTO event (id, body, content, directory, extension, saved_ns, bytes)"
                " SELECT ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM event WHERE id = ?)",
                (body["id"], encoded, *placed, size, body["id"]),
            )
        if recorded:
            transaction.execute("INSERT OR REPLACE INTO newest VALUES (1, ?)", (time.time(),))

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
        """Wait until something was announced after `seen` was read."""
        with self._arrivals:
            self._arrivals.wait_for(lambda: self._arrival_count != seen)

    def unstored(self, limit: int, max_bytes: int) -> list[SpooledEvent]:
        """The oldest events whose content the snapshot volume has yet to get; at least one if there is any."""
        return self._oldest("content IS NOT NULL", limit, max_bytes)

    def ready(self, limit: int, max_bytes: int) -> list[SpooledEvent]:
        """The oldest events that only the backend has yet to get; at least one if there is any."""
        return self._oldest("content IS NULL", limit, max_bytes)

    def _oldest(self, condition: str, limit: int, max_bytes: int) -> list[SpooledEvent]:
        chosen: list[SpooledEvent] = []
        total = 0
        with self._state.reading() as connection:
            cursor = connection.execute(
                "SELECT bytes, sequence, body, content, directory, extension, saved_ns FROM event"
                f" WHERE {condition} ORDER BY sequence LIMIT ?",
                (limit,),
            )
            for size, sequence, body, data, *place in cursor:
                total += size
                if chosen and total > max_bytes:
                    break
                content = None if data is None else Content(data, *place)
                chosen.append(SpooledEvent(sequence, json.loads(body), content))
            cursor.close()
        return chosen

    def mark_stored(self, stored: Sequence[tuple[SpooledEvent, str]]) -> None:
        """Note that the snapshot volume has these events' content, each at its path, and drop the content."""
        with self._state.transaction() as transaction:
            transaction.executemany(
                "UPDATE event SET body = ?, content = NULL, bytes = ? WHERE sequence = ?",
                (
                    (body, len(body), event.sequence)
                    for event, path in stored
                    for body in (wire.encode({**event.body, "snapshot_path": path}),)
                ),
            )
        self.announce()

    def settle(self, acknowledged: Iterable[SpooledEvent], rejected: Iterable[tuple[SpooledEvent, str]]) -> None:
        """Let go of events that the backend has; set aside, with the reason, those that it will never take."""
        with self._state.transaction() as transaction:
            for event, reason in rejected:
                transaction.execute(
                    "INSERT INTO rejected (sequence, id, body, reason) SELECT sequence, id, body, ? FROM event"
                    " WHERE sequence = ?",
                    (reason, event.sequence),
                )
                transaction.execute("DELETE FROM event WHERE sequence = ?", (event.sequence,))
            transaction.executemany(
                "DELETE FROM event WHERE sequence = ?", ((event.sequence,) for event in acknowledged)
            )

    def backlog(self) -> Backlog:
        """What waits; the cost grows with the number of events, so ask at the pace of a scrape.

        Both queries read an index each and no content: capture waits for the lock meanwhile.
        """
        with self._state.reading() as connection:
            events, size = connection.execute("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM event").fetchone()
            (unstored,) = connection.execute("SELECT COUNT(*) FROM event WHERE content IS NOT NULL").fetchone()
            (rejected,) = connection.execute("SELECT COUNT(*) FROM rejected").fetchone()
            newest = connection.execute("SELECT recorded_at FROM newest").fetchone()
        return Backlog(events, unstored, rejected, size, newest[0] if newest else 0.0)
