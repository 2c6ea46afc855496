"""Opening a database: create a file where it is missing, check a server, bring the schema up to date."""

from watcher_backend.database_address import DatabaseAddress, SqliteFile
from watcher_backend.storage.database import Database
from watcher_backend.storage.migrations import migrate
from watcher_backend.storage.postgres import PostgresDatabase
from watcher_backend.storage.sqlite import SqliteDatabase


def open_database(address: DatabaseAddress) -> Database:
    """Open the database, create it where it is a file that does not exist, and bring its schema up to date.

    Raises peewee.PeeweeException where it cannot be reached, opened or written, postgres.UnusableServerError
    where the server is not what is needed, and migrations.NewerSchemaError where a newer release has written it.
    """
    database = connect(address)
    try:
        if isinstance(database, PostgresDatabase):
            database.check_server()
        with database.connection():
            migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def connect(address: DatabaseAddress) -> Database:
    """Return the database as it is; nothing is opened before the first statement."""
    return SqliteDatabase(address.path) if isinstance(address, SqliteFile) else PostgresDatabase(address)


def has_schema(database: Database) -> bool:
    """Return whether events can be asked for; inside a connection."""
    return "event" in database.tables()


def first_line(error: Exception) -> str:
    """Return what a database said in one line: drivers add attempts, hints and positions below."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
