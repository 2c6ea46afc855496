"""The database: peewee's pool of connections behind the few calls that this program makes.

What differs between SQLite and PostgreSQL stands in `sqlite` and `postgres`, and nowhere else.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol


class Cursor(Protocol):
    """What a statement returned."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None after the last."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left; for INSERT … RETURNING this is what completes the statement."""


class Database(ABC):
    """A pool of connections, one a thread at a time.

    peewee carries no types; this class is the seam between it and the typed rest. All methods raise
    peewee.PeeweeException (OperationalError where the database is full, locked, read-only or gone).
    """

    # What stands for a value in a statement.
    param: ClassVar[str]
    # The words of the schema that the two databases have different ones for; see `schema`.
    words: ClassVar[dict[str, str]]
    # An expression: the last row id that table event ever gave out, 0 for none.
    last_event_row: ClassVar[str]

    def __init__(self, pool: Any) -> None:
        """Take peewee's pool; nothing is opened before the first statement."""
        self._pool = pool

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

    def schema(self, statement: str) -> str:
        """Return a statement that makes or changes a table, its {words} in this database's language."""
        return statement.format_map(self.words)

    @abstractmethod
    def transaction(self, *, patient: bool = False) -> AbstractContextManager[object]:
        """Begin the one writing transaction; commit it at the end, or roll it back where an exception passes.

        There is one at a time, whoever writes, in this process or another; what the one before wrote is seen.
        patient: wait for the others as long as they take, where this database can.
        """

    @abstractmethod
    def insert(self, table: str, columns: tuple[str, ...], values: Sequence[object]) -> None:
        """Insert rows, their values one after the other, in this order."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[object]:
        """Begin a reading transaction, in which the database stands still while others write."""

    def tables(self) -> list[str]:
        """Return the names of all tables."""
        names: list[str] = self._pool.get_tables()
        return names

    @abstractmethod
    def last_row(self, table: str) -> int:
        """Return the last row id that a table ever gave out, or has."""

    @abstractmethod
    def set_last_row(self, table: str, row: int) -> None:
        """Make a table give out ids after this one."""

    @abstractmethod
    def note_event_row(self, row: int) -> None:
        """Make `last_event_row` this; the transaction's rows have been given out by hand."""

    @abstractmethod
    def pieces(self, total: int) -> Sequence[tuple[int, int]]:
        """Cut ``total`` values into (start, count) pieces that `among` can ask for at a time."""

    @abstractmethod
    def among(self, column: str, count: int) -> str:
        """Return the condition that a column holds one of ``count`` values, passed as `listed` has them."""

    @abstractmethod
    def listed(self, values: Sequence[object]) -> Sequence[object]:
        """Return the parameters that stand for a list of values in an `among`."""

    @abstractmethod
    def of_each(self, table: str, rows: str) -> str:
        """Return the join that finds, as ``found``, rows of a table for each row of what stands before it.

        rows: a query for their ids that is bounded, by an index and a limit, for each.
        """

    @abstractmethod
    def through(self, index: str | None) -> str:
        """Return what makes a query walk a table through an index, None: in order of its rows."""

    @abstractmethod
    def first_then(self, join: str, condition: str) -> str:
        """Return an inner join whose left side stays the outer one."""

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
