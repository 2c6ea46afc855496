"""The program ``watcher-backend``: read the settings, open the database, serve until told to stop."""

import argparse
import gc
import logging
import logging.config
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType

import uvicorn
from peewee import PeeweeException

from watcher_backend import __version__
from watcher_backend.app import create_app
from watcher_backend.database_address import SqliteFile
from watcher_backend.log_lines import logging_config
from watcher_backend.old_database import Imported, OldDatabaseError, Progress, Seen, file_of, import_rows
from watcher_backend.settings import Settings, SettingsError, read_settings
from watcher_backend.storage.backup import BackupError, back_up, restore
from watcher_backend.storage.event_store import EventStore, stored_ids
from watcher_backend.storage.migrations import NewerSchemaError
from watcher_backend.storage.opening import connect, first_line, has_schema, open_database
from watcher_backend.storage.postgres import UnusableServerError

_log = logging.getLogger("watcher_backend")

_EXIT_UNUSABLE = 1
_EXIT_SETTINGS = 2
_STOP_SECONDS = 30
_BACKLOG = 2048

_SETTINGS_HELP = """\
settings (environment):
  DB_URL                 sqlite:////absolute/path.db (sqlite:////app/data/database.db), or
                         postgresql://user:password@host:port/database[?sslmode=verify-full&sslrootcert=…]
  WATCHER_DB_PASSWORD_FILE  a file with the password for PostgreSQL, where DB_URL has none
  WATCHER_HOST           address to listen on (127.0.0.1)
  WATCHER_PORT           port to listen on (3000)
  WATCHER_SNAPSHOT_ROOT  where the snapshot volume is mounted, read only (/watcher/snapshots)
  WATCHER_TIMEZONE       zone of the old endpoints' local times (Asia/Seoul)
  WATCHER_LOG_LEVEL      DEBUG, INFO, WARNING, ERROR or CRITICAL; LOG_LEVEL works too (INFO)

exit codes: 0 stopped when told to, 1 database or address cannot be used, 2 wrong setting or argument
"""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="watcher-backend",
        description="Stores the agents' events and answers REST queries.",
        epilog=_SETTINGS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--check-settings", action="store_true", help="validate the settings and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands (without one, it serves)")
    backup = commands.add_parser("backup", help="write everything to a new file, while others read and write")
    backup.add_argument("file", type=Path, metavar="FILE")
    restoring = commands.add_parser("restore", help="bring back what a backup holds, into an empty database")
    restoring.add_argument("file", type=Path, metavar="FILE", help="a file that backup made, of either database")
    restoring.add_argument("--force", action="store_true", help="replace what the database holds")
    importing = commands.add_parser("import", help="take over what the system in use before has recorded")
    importing.add_argument("url", metavar="URL", help="its database, sqlite:////absolute/path.db; it is only read")
    importing.add_argument("--dry-run", action="store_true", help="count what would be imported; write nothing")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_SETTINGS
    if options.check_settings:
        return 0
    if options.command is None:
        return _serve(settings)
    return _run(options, settings)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    """Run a command on the database; return the exit code."""
    try:
        if options.command == "backup":
            rows = back_up(settings.database, options.file)
            done = f"backed up {settings.database} to {options.file}"
        elif options.command == "restore":
            rows = restore(options.file, settings.database, force=options.force)
            done = f"restored {options.file} to {settings.database}"
        else:
            return _import(options, settings)
    except (BackupError, OldDatabaseError) as error:
        sys.stderr.write(f"watcher-backend: {error}\n")
        return _EXIT_UNUSABLE
    except (PeeweeException, NewerSchemaError, UnusableServerError) as error:
        sys.stderr.write(f"watcher-backend: cannot use database {settings.database}: {first_line(error)}\n")
        return _EXIT_UNUSABLE
    sys.stdout.write(f"{done}: {rows['event']} events, {rows['gap']} gaps\n")
    return 0


def _import(options: argparse.Namespace, settings: Settings) -> int:
    file = file_of(options.url)
    if options.dry_run:
        found = _try_import(file, settings)
    else:
        with closing(open_database(settings.database)) as database, database.connection():
            found = import_rows(file, settings.timezone, EventStore(database).write, Progress())
    verb = "would be imported" if options.dry_run else "imported"
    for table, rows in found.items():
        sys.stdout.write(
            f"{table}: {rows.rows} rows, {rows.stored} {verb}, {rows.present} present already,"
            f" {rows.refused.total()} refused\n"
        )
        for reason, number in rows.refused.most_common():
            sys.stdout.write(f"  {number} refused, the first of them id {rows.first_refused[reason]}: {reason}\n")
    return 0


def _try_import(file: Path, settings: Settings) -> dict[str, Imported]:
    def stored(event_ids: Sequence[bytes]) -> set[bytes]:
        return stored_ids(database, event_ids)

    def none(event_ids: Sequence[bytes]) -> set[bytes]:
        return set()

    if isinstance(settings.database, SqliteFile) and not settings.database.path.exists():
        with closing(Seen(none)) as seen:
            return import_rows(file, settings.timezone, seen.write, Progress())
    database = connect(settings.database)
    with closing(database), database.connection(), closing(Seen(stored if has_schema(database) else none)) as seen:
        return import_rows(file, settings.timezone, seen.write, Progress())


def _serve(settings: Settings) -> int:
    config = logging_config(settings.log_level)
    logging.config.dictConfig(config)
    # No line shows these, and finding them out is half of what an entry costs.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    try:
        database = open_database(settings.database)
    except (PeeweeException, NewerSchemaError, UnusableServerError) as error:
        sys.stderr.write(f"watcher-backend: cannot use database {settings.database}: {first_line(error)}\n")
        return _EXIT_UNUSABLE
    try:
        listener = _listen(settings)
    except OSError as error:
        database.close()
        reason = error.strerror or error
        sys.stderr.write(f"watcher-backend: cannot listen on {settings.host}:{settings.port}: {reason}\n")
        return _EXIT_UNUSABLE
    _warn(settings)
    app = create_app(settings, database)
    _spare_the_collector()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=config,
            log_level=settings.log_level,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    )

    # The server takes these signals over while it runs, drains, and raises them again for whoever started
    # it. That is us, and being told to stop is no failure; before it runs, this keeps it from starting.
    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, stop)
    server.run(sockets=[listener])
    return 0


def _spare_the_collector() -> None:
    """Take everything that was made at start out of garbage collection: it lives as long as the program.

    Walking it in every full collection stopped all requests for 25 ms. The higher thresholds are for batches,
    which make ten thousand objects that all go at once, by reference count.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _listen(settings: Settings) -> socket.socket:
    """Open the port before anything is announced, so that a taken one is one line and not a half start."""
    family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address, family=family, backlog=_BACKLOG)


def _warn(settings: Settings) -> None:
    if not settings.loopback_only:
        _log.warning(
            "OPEN TO ANYONE who reaches %s:%d: there is no access control yet, students' data can be read"
            " and written without a password; set WATCHER_HOST=127.0.0.1 to serve this machine only",
            settings.host,
            settings.port,
        )
    if not settings.snapshot_root.is_dir():
        _log.warning(
            "snapshot root %s does not exist: no content can be served until it is mounted",
            settings.snapshot_root,
        )
