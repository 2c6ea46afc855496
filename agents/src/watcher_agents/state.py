"""The agent's memory on the node's disk: one SQLite database that survives kill -9 at any instant.

What must change together (an event spooled, the file noted as captured) changes in one transaction here.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StateDatabase:
    """One connection that the agent's threads share; a transaction is on disk when its block ends.

    WAL with synchronous=FULL: a commit is one write to the log and one fsync, and readers never wait for it.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises OSError or sqlite3.Error."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = OFF")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other thread can get between; rolled back where the block raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for queries alone."""
        with self._lock:
            yield self._connection

    def close(self) -> None:
        """Close the database; the log is folded into it."""
        with self._lock:
            self._connection.close()
