"""PostgreSQL: a server, and any number of replicas that write in turn."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from peewee import OperationalError, PostgresqlDatabase
from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined]
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase
from psycopg import OperationalError as PsycopgOperationalError

from watcher_backend.database_address import PostgresServer
from watcher_backend.storage.database import Database

LOCK_TIMEOUT_SECONDS = 5.0
OLDEST_SERVER = 14

# A replica's. Three replicas, as there are while two are rolled over, stay below a server's usual 100.
_MAX_CONNECTIONS = 20
_WAIT_SECONDS = 5
# libpq takes nothing below 2.
_CONNECT_SECONDS = 3
# So long a server that could not be reached is not tried again: forty threads that each waited for it in turn
# would be answered minutes later.
_REST_SECONDS = 1.0
# A replica that stops between two statements (its node froze) must not keep the others from writing.
_IDLE_TRANSACTION_SECONDS = 30
# "Watcher": the lock that a writing transaction holds to its end; a database has its own.
_WRITER_LOCK = int.from_bytes(b"Watcher", "big")
# Up to so many values a row list is a statement that the driver parses once and the server keeps prepared.
_PREPARED_VALUES = 50

# The lock is a statement of its own: the ones after it see what whoever held it before has committed, because
# at this level each statement looks anew. It is let go only when the commit can be seen by all.
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({_WRITER_LOCK})"
_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_PATIENTLY = _BEGIN.replace(";", "; SET LOCAL lock_timeout = 0;")


def _at_connection() -> str:
    # Never below what SQLite promises here: a commit that was answered survives a crash of the server.
    return f"""
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
        SET lock_timeout = {round(LOCK_TIMEOUT_SECONDS * 1000)};
        SET idle_in_transaction_session_timeout = {_IDLE_TRANSACTION_SECONDS * 1000}
    """


# Tables that give out ids of their own: all whose rows do not have an event's.
_COUNTING = frozenset({"work", "source_file", "origin", "event", "gap"})


class UnusableServerError(Exception):
    """The server answers, but cannot hold our data; the text says why, in one line."""


class _Server(PostgresqlDatabase):
    """Makes connections, and transactions that wait for each other."""

    def _connect(self) -> Any:
        connection: Any = super()._connect()  # type: ignore[misc]
        try:
            # Not by execute_sql, here and below: several statements in one message cannot be prepared.
            connection.execute(_at_connection(), prepare=False)
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, statement: str = _BEGIN) -> None:  # type: ignore[override]
        connection: Any = super().connection()  # type: ignore[no-untyped-call]
        with peewee_errors:
            try:
                connection.execute(statement, prepare=False)
            except PsycopgOperationalError:
                # A connection that was lost while it was idle, like the writer's when the server restarted: as
                # nothing has begun, a fresh one will do. Whoever holds it for longer than this must learn of it.
                held: list[object] = self._state.ctx  # type: ignore[attr-defined]  # peewee's own, without types
                if held or not connection.broken:
                    raise
                self.close()
                super().connection().execute(statement, prepare=False)  # type: ignore[no-untyped-call]


class _Pool(PooledPostgresqlDatabase, _Server):  # type: ignore[misc]
    """peewee's pool, with a rest for a server that is not there."""

    def __init__(self, database: str, **options: Any) -> None:
        self._failure = ""
        self._failed_at = -_REST_SECONDS
        super().__init__(database, **options)

    def connect(self, reuse_if_open: bool = False) -> Any:
        try:
            return super().connect(reuse_if_open)
        except MaxConnectionsExceeded as error:
            raise OperationalError(f"no connection was free within {_WAIT_SECONDS} s") from error

    def _connect(self) -> Any:
        # Under the pool's lock, so that whoever waited while another one tried learns how it went.
        with self._pool_lock:
            if time.monotonic() - self._failed_at < _REST_SECONDS:
                raise OperationalError(self._failure)
            try:
                return super()._connect()
            except PsycopgOperationalError as error:
                self._failure = str(error)
                self._failed_at = time.monotonic()
                raise


class PostgresDatabase(Database):
    """A database on a PostgreSQL server."""

    param = "%s"
    words: ClassVar = {
        # BY DEFAULT: an import gives ids by hand, and so does the writer of events.
        "key": "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "arrival_key": "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "given_key": "bigint PRIMARY KEY",
        "integer": "bigint",
        # In the order of code points, as in SQLite, and independent of the server's locale and its updates.
        "text": 'text COLLATE "C"',
        "blob": "bytea",
        "boolean": "boolean",
        "false": "false",
        "strict": "",
    }
    last_event_row = "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_id_seq)"

    def __init__(self, address: PostgresServer) -> None:
        """Prepare; nothing is opened before the first statement."""
        options: dict[str, Any] = {
            "application_name": "watcher-backend",
            "connect_timeout": _CONNECT_SECONDS,
            **address.parameters,
        }
        super().__init__(
            _Pool(
                address.database,
                prefer_psycopg3=True,
                max_connections=_MAX_CONNECTIONS,
                timeout=_WAIT_SECONDS,
                encoding="UTF8",
                host=address.host,
                port=address.port,
                user=address.user,
                password=address.password,
                # A server that is gone without a word is noticed within half a minute.
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30_000,
                **options,
            )
        )

    def check_server(self) -> None:
        """Raise UnusableServerError where the server is too old or the database has another encoding."""
        with self.connection():
            row = self.execute("SHOW server_encoding").fetchone()
            version: int = self._pool.server_version
        if version // 10_000 < OLDEST_SERVER:
            raise UnusableServerError(
                f"the server is PostgreSQL {version // 10_000}: expected {OLDEST_SERVER} or later"
            )
        if row != ("UTF8",):
            raise UnusableServerError(
                f"the database's encoding is {row and row[0]}: expected UTF8 (CREATE DATABASE … ENCODING 'UTF8')"
            )

    def transaction(self, *, patient: bool = False) -> AbstractContextManager[object]:
        """Begin the one writing transaction of all replicas."""
        context: AbstractContextManager[object] = self._pool.atomic(_BEGIN_PATIENTLY if patient else _BEGIN)
        return context

    def snapshot(self) -> AbstractContextManager[object]:
        """Begin a reading transaction; it keeps nobody from writing."""
        context: AbstractContextManager[object] = self._pool.atomic(_BEGIN_SNAPSHOT)
        return context

    def last_row(self, table: str) -> int:
        """Return the last row id that a table ever gave out; 0 where another table gives them out."""
        if table not in _COUNTING:
            return 0
        row = self.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_id_seq").fetchone()
        return 0 if row is None else int(row[0])

    def set_last_row(self, table: str, row: int) -> None:
        """Make a table give out ids after this one."""
        if table in _COUNTING:
            self.execute(f"SELECT setval('{table}_id_seq', %s, %s)", (max(row, 1), row > 0))

    def insert(self, table: str, columns: tuple[str, ...], values: Sequence[object]) -> None:
        """Insert rows, their values one after the other, in this order."""
        width = len(columns)
        if not values:
            return
        if len(values) <= _PREPARED_VALUES:
            row = f"({', '.join(['%s'] * width)})"
            rows = ", ".join([row] * (len(values) // width))
            self.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {rows}", values)
            return
        connection = self._pool.connection()
        with (
            peewee_errors,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
        ):
            for start in range(0, len(values), width):
                copy.write_row(values[start : start + width])

    def note_event_row(self, row: int) -> None:
        """Set the sequence; it is of no transaction, so one that is rolled back leaves a hole, as it may."""
        self.execute("SELECT setval('event_id_seq', %s)", (row,))

    def pieces(self, total: int) -> Sequence[tuple[int, int]]:
        """Return all as one piece: a list is one parameter."""
        return [(0, total)]

    def among(self, column: str, count: int) -> str:
        """Return the condition that a column holds one of a list's values."""
        return f"{column} = ANY(%s)"

    def listed(self, values: Sequence[object]) -> Sequence[object]:
        """Return the one parameter that holds the list."""
        return [list(values)]

    def of_each(self, table: str, rows: str) -> str:
        """Return the join that finds, as ``found``, rows of a table for each row of what stands before it."""
        return f"CROSS JOIN LATERAL ({rows}) found"

    def through(self, index: str | None) -> str:
        """Return nothing: the planner has statistics, and takes no hints."""
        return ""

    def first_then(self, join: str, condition: str) -> str:
        """Return an inner join; which side is the outer one, the planner knows."""
        return f"JOIN {join} ON {condition}"
