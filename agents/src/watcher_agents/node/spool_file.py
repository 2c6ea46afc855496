"""An agent's spool from outside: what waits, what is set aside, and an operator's decisions about it.

Works beside the running agent, which notices within seconds, and without it.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from watcher_agents import spool_schema
from watcher_agents.spool_bound import ROW_BYTES, Dropping
from watcher_agents.spool_schema import decoded

_WAIT_SECONDS = 30.0
"""How long to wait for the agent to finish a transaction."""
_AT_ONCE = 500
"""Events changed in one transaction: the agent waits meanwhile."""
_SELECT = "SELECT sequence, id, body, coalesce(workspace, ''), bytes"
_WAITING = f"{_SELECT}, length(content), NULL, 'event' FROM event"
_SET_ASIDE = f"{_SELECT}, NULL, reason, 'rejected' FROM rejected"


class SpoolError(Exception):
    """The spool is not there, cannot be used, or has no such event; the message is one line."""


@dataclass(frozen=True)
class Entry:
    """An event in the spool. `content_bytes`: of a content that the snapshot volume has yet to get.

    `reason`: why the backend refused it; None where it waits.
    """

    sequence: int
    id: str
    event: dict[str, Any]
    workspace: str
    bytes: int
    content_bytes: int | None
    reason: str | None
    table: str

    @property
    def waits_for(self) -> str | None:
        """Which sink it waits for; None where it is set aside."""
        if self.reason is not None:
            return None
        return "backend" if self.content_bytes is None else "snapshot_volume"

    @property
    def about(self) -> str:
        """What it is about: a file, a program's source, the cause of a gap."""
        return str(self.event.get("filename") or self.event.get("target_path") or self.event.get("cause") or "")

    def as_json(self) -> dict[str, Any]:
        """The document that `--json` prints; without the content, which is the student's."""
        known = asdict(self)
        del known["table"]
        return known | {"waits_for": self.waits_for}


@dataclass(frozen=True)
class Listing:
    """How many events wait and are set aside, and the oldest of them."""

    waiting: int
    set_aside: int
    bytes: int
    entries: list[Entry]


class SpoolFile:
    """The spool in a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "spool.sqlite3"

    def oldest(self, limit: int, only_set_aside: bool) -> Listing:
        """The oldest `limit` events, of all or of those set aside. Raises SpoolError."""
        with self._open() as connection:
            waiting, set_aside, size = connection.execute(
                "SELECT coalesce(sum(events), 0), coalesce(sum(rejected), 0), coalesce(sum(bytes), 0) FROM holding"
            ).fetchone()
            wanted = _SET_ASIDE if only_set_aside else f"{_SET_ASIDE} UNION ALL {_WAITING}"
            rows = connection.execute(f"{wanted} ORDER BY sequence LIMIT ?", (limit,)).fetchall()
        return Listing(waiting, set_aside, size, [_entry(row) for row in rows])

    def find(self, event_id: str) -> Entry:
        """The event of this id, the one that is set aside before one that waits. Raises SpoolError."""
        with self._open() as connection:
            return _found(connection, event_id)

    def retry(self, event_id: str | None) -> int:
        """Put an event that is set aside, None: all of them, back among those that wait; how many.

        Each keeps its sequence. One whose id waits already is not needed twice. Raises SpoolError.
        """
        moved = 0
        with self._open() as connection:
            for sequences in self._chosen(connection, event_id, ("rejected",)):
                with _transaction(connection):
                    for _, sequence in sequences:
                        connection.execute(
                            "INSERT INTO event (sequence, id, body, bytes, workspace, is_gap)"
                            " SELECT sequence, id, body, length(body) + ?, workspace, is_gap FROM rejected AS old"
                            " WHERE sequence = ? AND NOT EXISTS (SELECT 1 FROM event WHERE event.id = old.id)",
                            (ROW_BYTES, sequence),
                        )
                        connection.execute("DELETE FROM rejected WHERE sequence = ?", (sequence,))
                moved += len(sequences)
        return moved

    def drop(self, event_id: str | None) -> int:
        """Drop an event, None: all that are set aside; how many. Each is a loss, declared as a gap.

        Raises SpoolError.
        """
        gone = 0
        with self._open() as connection:
            tables = ("rejected",) if event_id is None else ("rejected", "event")
            for sequences in self._chosen(connection, event_id, tables):
                with _transaction(connection):
                    dropping = Dropping(connection, "dropped_by_operator", time.time_ns())
                    for table, sequence in sequences:
                        row = connection.execute(
                            f"SELECT coalesce(workspace, ''), body FROM {table} WHERE sequence = ?", (sequence,)
                        ).fetchone()
                        # Gone where the agent delivered it just now.
                        if row is not None:
                            dropping.event(table, sequence, *row)
                            gone += 1
                    dropping.note()
        return gone

    def _chosen(
        self, connection: sqlite3.Connection, event_id: str | None, tables: Sequence[str]
    ) -> Iterator[list[tuple[str, int]]]:
        """Table and sequence of the event, or of all, in portions for a transaction each."""
        if event_id is not None:
            entry = _found(connection, event_id)
            if entry.table not in tables:
                raise SpoolError(f"{event_id} is not set aside: it waits, and is sent by itself")
            yield [(entry.table, entry.sequence)]
            return
        for table in tables:
            last = -1
            query = f"SELECT sequence FROM {table} WHERE sequence > ? ORDER BY sequence LIMIT {_AT_ONCE}"
            while rows := connection.execute(query, (last,)).fetchall():
                last = rows[-1][0]
                yield [(table, sequence) for (sequence,) in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._path.is_file():
            raise SpoolError(
                f"{self._path} is not there: expected the spool of an agent that has run on this node"
            )
        try:
            with closing(
                sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=rw",
                    uri=True,
                    isolation_level=None,
                    timeout=_WAIT_SECONDS,
                )
            ) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version < spool_schema.VERSION:
                    raise SpoolError(f"{self._path} is of a release before: start the agent once")
                yield connection
        except sqlite3.Error as error:
            raise SpoolError(f"{self._path} cannot be used: {error}") from error


def _found(connection: sqlite3.Connection, event_id: str) -> Entry:
    for select in (_SET_ASIDE, _WAITING):
        row = connection.execute(f"{select} WHERE id = ? ORDER BY sequence", (event_id,)).fetchone()
        if row is not None:
            return _entry(row)
    raise SpoolError(f"{event_id} is not in the spool: expected an id that the list shows")


def _entry(row: tuple[Any, ...]) -> Entry:
    sequence, event_id, body, *rest = row
    return Entry(sequence, event_id, decoded(body), *rest)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
