"""SQLite: one file, one writer at a time by the file's own lock."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from playhouse.pool import PooledSqliteDatabase

from watcher_backend.storage.database import Database

BUSY_TIMEOUT_SECONDS = 5

# One connection a reading thread (anyio's pool has 40), one for the writer, a few for probes.
_MAX_CONNECTIONS = 48

# Tables whose ids are a cursor; see arrival_key.
_COUNTING = frozenset({"event", "gap"})

# Rows in one statement. Few statements matter more than fast ones: at each the driver gives up the
# interpreter's lock, and gets it back only when a request's handling lets it go. So up to _EXACT rows have a
# statement of just that size, kept prepared; above, powers of two. 256 rows of 20 columns stay below
# SQLite's 32,766 parameters.
_CHUNKS = (256, 128, 64)
_EXACT = 63


class SqliteDatabase(Database):
    """A SQLite file."""

    param = "?"
    words: ClassVar = {
        "key": "INTEGER PRIMARY KEY",
        # AUTOINCREMENT: an id is never used again.
        "arrival_key": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "given_key": "INTEGER PRIMARY KEY",
        "integer": "INTEGER",
        "text": "TEXT",
        "blob": "BLOB",
        "boolean": "INTEGER",
        "false": "0",
        # So that no value of another type gets in.
        "strict": " STRICT",
    }
    last_event_row = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)"

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is opened before the first statement."""
        super().__init__(
            PooledSqliteDatabase(
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
        )

    def transaction(self, *, patient: bool = False) -> AbstractContextManager[object]:
        """Begin a writing transaction; nobody is waited for longer than BUSY_TIMEOUT_SECONDS."""
        context: AbstractContextManager[object] = self._pool.atomic("IMMEDIATE")
        return context

    def snapshot(self) -> AbstractContextManager[object]:
        """Begin a reading transaction; the write-ahead log grows as long as it lasts."""
        context: AbstractContextManager[object] = self._pool.atomic("DEFERRED")
        return context

    def last_row(self, table: str) -> int:
        """Return the last row id that a table ever gave out, where it counts them, or has."""
        row = self.execute(
            f"SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0),"
            f" coalesce((SELECT max(id) FROM {table}), 0))",
            (table,),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def set_last_row(self, table: str, row: int) -> None:
        """Make a table that counts its ids give out those after this one; others use theirs again."""
        if table in _COUNTING:
            self.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, row))

    def insert(self, table: str, columns: tuple[str, ...], values: Sequence[object]) -> None:
        """Insert rows, their values one after the other, in this order."""
        width = len(columns)
        for start, count in self.pieces(len(values) // width):
            self.execute(_insert_statement(table, columns, count), values[start * width : (start + count) * width])

    def note_event_row(self, row: int) -> None:
        """SQLite notes the largest id that AUTOINCREMENT sees by itself."""

    def pieces(self, total: int) -> Sequence[tuple[int, int]]:
        """Cut ``total`` rows into (start, count) pieces of the sizes that statements are made for."""
        found: list[tuple[int, int]] = []
        start = 0
        for size in _CHUNKS:
            while total - start >= size:
                found.append((start, size))
                start += size
        if start < total:
            found.append((start, total - start))
        return found

    def among(self, column: str, count: int) -> str:
        """Return the condition that a column holds one of ``count`` values."""
        return f"{column} IN ({', '.join('?' * count)})"

    def listed(self, values: Sequence[object]) -> Sequence[object]:
        """Return the values: each is a parameter."""
        return values

    def of_each(self, table: str, rows: str) -> str:
        """Return the join that finds, as ``found``, rows of a table for each row of what stands before it."""
        return f"JOIN {table} found ON found.id IN ({rows})"

    def through(self, index: str | None) -> str:
        """Return what makes a query walk a table through an index, None: in order of its rows."""
        return "NOT INDEXED" if index is None else f"INDEXED BY {index}"

    def first_then(self, join: str, condition: str) -> str:
        """Return an inner join whose left side stays the outer one: SQLite does not reorder a CROSS JOIN."""
        return f"CROSS JOIN {join} ON {condition}"


@lru_cache(maxsize=8 * (_EXACT + len(_CHUNKS)))
def _insert_statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"
