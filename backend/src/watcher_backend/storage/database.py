"""The database: peewee's pool of SQLite connections behind the few calls that this program makes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from playhouse.pool import PooledSqliteDatabase

BUSY_TIMEOUT_SECONDS = 5

# One connection a reading thread (anyio's pool has 40), one for the writer, a few for probes.
_MAX_CONNECTIONS = 48


class Cursor(Protocol):
    """What a statement returned."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None after the last."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left; for INSERT … RETURNING this is what completes the statement."""


class Database:
    """A pool of connections, one a thread at a time.

    peewee carries no types; this class is the seam between it and the typed rest. All methods raise
    peewee.PeeweeException (OperationalError where the file is full, locked, read-only or gone).
    """

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is opened before the first statement."""
        self._pool: Any = PooledSqliteDatabase(
            str(path),
            max_connections=_MAX_CONNECTIONS,
            timeout=BUSY_TIMEOUT_SECONDS,
            # The pool hands a connection from thread to thread, never to two at once.
            check_same_thread=False,
            # The writer keeps a statement for each number of rows.
            cached_statements=512,
            pragmas=[
                ("busy_timeout", BUSY_TIMEOUT_SECONDS * 1000),
                # Readers do not wait for the writer, and the other way round.
                ("journal_mode", "wal"),
                # A commit that was answered must survive a power failure, not only a crash of the program.
                ("synchronous", "full"),
                ("foreign_keys", 1),
                # Pages. Four times the default: whoever commits when the log is full waits for its folding.
                ("wal_autocheckpoint", 4000),
                ("cache_size", -16 * 1024),  # KiB a connection
            ],
        )
        self.param: str = self._pool.param

    def execute(self, sql: str, values: Sequence[object] = ()) -> Cursor:
        """Run one statement, `param` standing for each value."""
        cursor: Cursor = self._pool.execute_sql(sql, values)
        return cursor

    def select(self, query: Any) -> list[tuple[Any, ...]]:
        """Run a peewee query and return its rows as tuples."""
        return list(query.tuples().execute(self._pool))

    def connection(self) -> AbstractContextManager[object]:
        """Take a connection for this thread from the pool, and give it back at the end."""
        context: AbstractContextManager[object] = self._pool.connection_context()
        return context

    def transaction(self) -> AbstractContextManager[object]:
        """Begin a writing transaction; commit it at the end, or roll it back where an exception passes."""
        context: AbstractContextManager[object] = self._pool.atomic("IMMEDIATE")
        return context

    def answers(self) -> bool:
        """Return whether the database can be read and has a schema."""
        with self.connection():
            return self.execute("SELECT 1 FROM schema_migration LIMIT 1").fetchone() is not None

    def discard_connection(self) -> None:
        """Close this thread's connection for good instead of giving it back."""
        self._pool.manual_close()

    def close(self) -> None:
        """Close every connection; SQLite then folds the write-ahead log into the file."""
        self._pool.close_all()
