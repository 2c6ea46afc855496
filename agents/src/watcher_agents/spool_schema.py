"""The spool's tables, and the steps from what a release before had to what this one needs.

`PRAGMA user_version` counts the steps taken. Every step only adds, with defaults, so that a release before, to
which a node may be rolled back, goes on with the file; what it then leaves out is put right at the next start.
"""

import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Callable

from watcher_agents import losses, wire

_RELEASE_0_1_0 = (
    """
    CREATE TABLE IF NOT EXISTS event (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        body BLOB NOT NULL,
        content BLOB,
        directory TEXT,
        extension TEXT,
        saved_ns INTEGER,
        bytes INTEGER NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS event_unstored ON event (sequence) WHERE content IS NOT NULL",
    """
    CREATE TABLE IF NOT EXISTS rejected (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        body BLOB NOT NULL,
        reason TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS newest (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        recorded_at REAL NOT NULL
    )
    """,
)

# `holding`: what each workspace holds. Triggers keep it, so that it is right whichever program changes the spool.
_BOUND = (
    "ALTER TABLE event ADD COLUMN workspace TEXT",
    "ALTER TABLE event ADD COLUMN is_gap INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE rejected ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE rejected ADD COLUMN workspace TEXT",
    "ALTER TABLE rejected ADD COLUMN is_gap INTEGER NOT NULL DEFAULT 0",
    "UPDATE rejected SET bytes = length(body) + length(reason)",
    "CREATE INDEX event_of ON event (workspace, content IS NULL, sequence) WHERE is_gap = 0",
    "CREATE INDEX rejected_of ON rejected (workspace, sequence) WHERE is_gap = 0",
    """
    CREATE TABLE holding (
        workspace TEXT PRIMARY KEY,
        events INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "INSERT INTO holding SELECT '', count(*), 0, coalesce(sum(bytes), 0) FROM event",
    "UPDATE holding SET rejected = (SELECT count(*) FROM rejected),"
    " bytes = bytes + (SELECT coalesce(sum(bytes), 0) FROM rejected)",
    *(
        statement
        for table, counts in (("event", "1, 0"), ("rejected", "0, 1"))
        for statement in (
            f"CREATE TRIGGER {table}_comes AFTER INSERT ON {table} BEGIN"
            f" INSERT INTO holding VALUES (coalesce(NEW.workspace, ''), {counts}, NEW.bytes)"
            " ON CONFLICT (workspace) DO UPDATE SET events = events + excluded.events,"
            " rejected = rejected + excluded.rejected, bytes = bytes + excluded.bytes; END",
            f"CREATE TRIGGER {table}_changes AFTER UPDATE OF bytes, workspace ON {table} BEGIN"
            f" UPDATE holding SET {'events = events' if table == 'event' else 'rejected = rejected'} - 1,"
            "  bytes = bytes - OLD.bytes WHERE workspace = coalesce(OLD.workspace, '');"
            f" INSERT INTO holding VALUES (coalesce(NEW.workspace, ''), {counts}, NEW.bytes)"
            " ON CONFLICT (workspace) DO UPDATE SET events = events + excluded.events,"
            " rejected = rejected + excluded.rejected, bytes = bytes + excluded.bytes; END",
            f"CREATE TRIGGER {table}_goes AFTER DELETE ON {table} BEGIN"
            f" UPDATE holding SET {'events = events' if table == 'event' else 'rejected = rejected'} - 1,"
            "  bytes = bytes - OLD.bytes WHERE workspace = coalesce(OLD.workspace, ''); END",
        )
    ),
    losses.TABLE,
)


_AT_ONCE = 1000
"""Rows that are put right at once: their number has no bound in release 0.1.0, memory has."""


def _make_first_tables(transaction: sqlite3.Connection) -> None:
    for statement in _RELEASE_0_1_0:
        transaction.execute(statement)
    if transaction.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'event'").fetchone() is None:
        # Whoever deletes the state directory must not make the sequence begin again: two events of one node
        # would have the same number. Milliseconds are ahead of any sequence that began with them.
        transaction.execute("INSERT INTO sqlite_sequence VALUES ('event', ?)", (time.time_ns() // 1_000_000 - 1,))


def _make_bound(transaction: sqlite3.Connection) -> None:
    for statement in _BOUND:
        transaction.execute(statement)


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_make_first_tables, _make_bound)
VERSION = len(_STEPS)
"""`user_version` of a spool that this release can work with, or more."""


def prepare(transaction: sqlite3.Connection) -> None:
    """Take the steps that are missing, in the caller's transaction. Raises sqlite3.Error."""
    (version,) = transaction.execute("PRAGMA user_version").fetchone()
    for number, step in enumerate(_STEPS[version:], version + 1):
        step(transaction)
        transaction.execute(f"PRAGMA user_version = {number}")
    _put_right(transaction)


def decoded(body: bytes) -> wire.Event:
    """An event as the spool keeps it. Raises sqlite3.DatabaseError where that is not what was put in."""
    try:
        event = json.loads(body)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"an event in the spool cannot be read: {error}") from error
    if not isinstance(event, dict):
        raise sqlite3.DatabaseError(f"an event in the spool is a {type(event).__name__}: expected an object")
    return event


def is_content_of(event: wire.Event, content: bytes | None) -> bool:
    """Whether a content is the one that was put in, by its checksum; where there is none of either, too."""
    sha256 = event.get("sha256")
    return content is None or sha256 is None or hashlib.sha256(content).hexdigest() == sha256


def _put_right(transaction: sqlite3.Connection) -> None:
    """Fill in what a release before has not written."""
    transaction.execute("DROP INDEX IF EXISTS event_bytes")
    for table in ("event", "rejected"):
        query = f"SELECT sequence, body FROM {table} WHERE workspace IS NULL AND is_gap = 0 LIMIT {_AT_ONCE}"
        while rows := transaction.execute(query).fetchall():
            for sequence, body in rows:
                event = decoded(body)
                transaction.execute(
                    f"UPDATE {table} SET workspace = ?, is_gap = ? WHERE sequence = ?",
                    (_workspace_of(event), event.get("type") == "gap", sequence),
                )
    transaction.execute("DELETE FROM holding WHERE events = 0 AND rejected = 0")


def _workspace_of(body: wire.Event) -> str:
    """The workspace's name, from an event whose student id is a number, without leading zeros."""
    if body.get("snapshot_path"):
        return str(body["snapshot_path"]).partition("/")[0]
    class_div, number = body.get("class_div"), body.get("student_id")
    if class_div is None:
        return ""
    written = re.search(rf"{re.escape(class_div)}-(0*{number})(?![0-9])", body.get("hostname") or "")
    return f"{class_div}-{written[1] if written else number}"
