"""The agent's memory on the node's disk: one SQLite database that survives kill -9 at any instant.

What must change together (an event spooled, the file noted as captured) changes in one transaction here.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from watcher_agents import damage

log = logging.getLogger(__name__)

LOG_BYTES = 16 * 1024 * 1024
"""What the write-ahead log is cut back to after a transaction that needed more."""


class StateDatabase:
    """One connection that the agent's threads share; a transaction is on disk when its block ends.

    WAL with synchronous=FULL: a commit is one write to the log and one fsync, and readers never wait for it.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises OSError or sqlite3.Error."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.on_damage: Callable[[], None] = lambda: None
        """Called in the thread that notices that the file is damaged; the next start sets it aside."""
        self._path = path
        self._failure: str | None = None
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = OFF")
            self._connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other thread can get between; rolled back where the block raises.

        Raises sqlite3.OperationalError where it cannot be written now: full, read-only, an error of the disk. That
        passes or not, and what is on disk is whole. Any other sqlite3.DatabaseError of SQLite's own: the file is
        damaged.
        """
        with self._lock, self._watching_for_damage():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # A full disk makes SQLite roll back by itself.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                self._failure = str(error)
                raise
            self._failure = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for queries alone."""
        with self._lock, self._watching_for_damage():
            yield self._connection

    def problem(self) -> str | None:
        """Why the last transaction failed; None where it did not."""
        failure = self._failure
        return None if failure is None else f"spool cannot be written: {failure}"

    def close(self) -> None:
        """Close the database; the log is folded into it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _watching_for_damage(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if damage.is_damage(error):
                try:
                    damage.mark(self._path, str(error))
                except OSError as failure:
                    log.error("cannot note that %s is damaged: %s", self._path, failure)
                self.on_damage()
            raise
