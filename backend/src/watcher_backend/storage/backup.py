"""Backups: one SQLite file with everything, whichever database it is of, and restored into either kind."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from watcher_backend.database_address import DatabaseAddress, SqliteFile
from watcher_backend.storage.copying import TABLES, copy_everything, is_empty, remove_everything
from watcher_backend.storage.database import Database
from watcher_backend.storage.migrations import NewerSchemaError
from watcher_backend.storage.opening import open_database


class BackupError(Exception):
    """A backup cannot be made or restored; the text says why, in one line. Nothing was changed."""


def back_up(address: DatabaseAddress, file: Path) -> dict[str, int]:
    """Write everything that the database holds now to a new file; return how many rows of each table.

    Others may read and write meanwhile. The file appears under its name once it is whole, checked and flushed.
    Raises BackupError; peewee.PeeweeException, postgres.UnusableServerError and NewerSchemaError as opening does.
    """
    if file.exists():
        raise BackupError(f"{file} is there: expected the name of a new file")
    if not file.parent.is_dir():
        raise BackupError(f"{file.parent} is no directory: expected a file in one that is there")
    with closing(open_database(address)) as source, _scratch(file.parent) as scratch:
        unfinished = scratch / file.name
        with closing(open_database(SqliteFile(unfinished))) as target, _both(source, target):
            copied = copy_everything(source, target)
        with closing(sqlite3.connect(unfinished)) as connection:
            # One file, and readable where it cannot be written.
            connection.execute("PRAGMA journal_mode = delete")
        if _check(unfinished) != copied:
            raise BackupError(f"{file.parent} did not keep what was written to it")
        _flush(unfinished)
        try:
            # Not a rename, which would replace what another has put there meanwhile.
            os.link(unfinished, file)
        except OSError as error:
            raise BackupError(f"{file}: {error.strerror}") from None
        _flush(file.parent)
    return copied


def restore(file: Path, address: DatabaseAddress, *, force: bool = False) -> dict[str, int]:
    """Bring back what a backup holds, in one transaction; return how many rows of each table.

    force: replace what the database holds. Raises BackupError for a file that is no backup of ours, is damaged
    or of a newer release, and for a database that is not empty; otherwise as `back_up`.
    """
    _check(file)
    with _scratch(None) as scratch:
        # An older one goes through the steps of the schema first, in a copy.
        copy = scratch / "backup.db"
        with closing(_reading(file)) as backup, closing(sqlite3.connect(copy)) as whole:
            backup.backup(whole)
        try:
            source = open_database(SqliteFile(copy))
        except NewerSchemaError as error:
            raise BackupError(f"{file}: {error}") from None
        with closing(source), closing(open_database(address)) as target, _both(source, target):
            if not is_empty(target):
                if not force:
                    raise BackupError("the database is not empty: expected --force to replace what it holds")
                remove_everything(target)
            copied = copy_everything(source, target)
            # Replicas that run must not go on with what they remember.
            target.execute("UPDATE removals SET number = number + 1")
    return copied


@contextmanager
def _both(source: Database, target: Database) -> Iterator[None]:
    with source.connection(), target.connection(), source.snapshot(), target.transaction():
        yield


@contextmanager
def _scratch(beside: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".watcher-backup-", dir=beside) as made:
        yield Path(made)


def _check(file: Path) -> dict[str, int]:
    """Return how many rows of each table a whole backup has. Raises BackupError where it is none."""
    if not file.is_file():
        raise BackupError(f"{file} is not there: expected a file that `watcher-backend backup` made")
    try:
        with closing(_reading(file)) as connection:
            for (finding,) in connection.execute("PRAGMA integrity_check").fetchall():
                if finding != "ok":
                    raise BackupError(f"{file} is damaged: {' '.join(finding.split())}")
            present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master").fetchall()}
            if not {"schema_migration", "event"} <= present:
                raise BackupError(f"{file} is no backup: expected a file that `watcher-backend backup` made")
            names = [table._meta.table_name for table in TABLES if table._meta.table_name in present]
            return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{file} cannot be read: {error}") from None


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
