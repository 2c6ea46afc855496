"""Opening a database file: create it where it is missing, bring its schema up to date."""

from pathlib import Path

from watcher_backend.storage.database import Database
from watcher_backend.storage.migrations import migrate


def open_database(path: Path) -> Database:
    """Open the SQLite file, create it where it does not exist, and bring its schema up to date.

    Raises peewee.PeeweeException where the file cannot be opened or written, and
    migrations.NewerSchemaError where a newer release has written it.
    """
    database = Database(path)
    try:
        with database.connection():
            migrate(database)
    except BaseException:
        database.close()
        raise
    return database
