"""The schema: made once, never by an older release, and what the models say it is."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from peewee import PeeweeException

from lab.postgres import DatabaseServer
from lab.waiting import wait_for
from unit.backend.samples import ORIGIN, WORK, gap_record, process_record, version_record
from watcher_backend.database_address import DatabaseAddress, PostgresServer, SqliteFile
from watcher_backend.event_queries import EventFilter, events_page
from watcher_backend.gap_queries import GapFilter, gaps_page
from watcher_backend.storage import postgres
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.migrations import MIGRATIONS, SCHEMA_VERSION, NewerSchemaError, schema_version
from watcher_backend.storage.models import ALL_TABLES
from watcher_backend.storage.opening import connect, open_database
from watcher_backend.storage.postgres import PostgresDatabase, UnusableServerError
from watcher_backend.storage.sqlite import SqliteDatabase


def schema(database: Database) -> list[list[tuple[object, ...]]]:
    """Return all that the database knows of its tables, columns, indexes and constraints."""
    if isinstance(database, SqliteDatabase):
        # How an ALTER TABLE writes into the text of a CREATE TABLE is SQLite's affair: columns and indexes count.
        tables = [table._meta.table_name for table in ALL_TABLES]
        columns = [database.execute(f"PRAGMA table_info({table})").fetchall() for table in tables]
        return [*columns, database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'").fetchall()]
    return [
        database.execute(sql).fetchall()
        for sql in (
            "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, collation_name"
            " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        )
    ]


def contents(database: Database) -> list[list[tuple[object, ...]]]:
    """Return every row of every table that there is."""
    if isinstance(database, SqliteDatabase):
        names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    else:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    return [
        sorted(database.execute(f"SELECT * FROM {name}").fetchall(), key=str)
        for (name,) in database.execute(names).fetchall()
    ]


def test_a_new_database_has_run_every_step_in_order(database: Database) -> None:
    assert schema_version(database) == SCHEMA_VERSION
    versions = database.execute("SELECT version FROM schema_migration ORDER BY version").fetchall()
    assert [version for (version,) in versions] == [step.version for step in MIGRATIONS]
    assert [step.version for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_opening_again_changes_nothing(address: DatabaseAddress) -> None:
    seen = []
    for _ in range(2):
        with closing(open_database(address)) as database, database.connection():
            seen.append((schema(database), contents(database)))
    assert seen[0] == seen[1]


def test_replicas_that_start_together_run_every_step_once(postgres_address: PostgresServer) -> None:
    together = threading.Barrier(4)

    def start() -> None:
        together.wait(30)
        open_database(postgres_address).close()

    with ThreadPoolExecutor(4) as pool:
        for started in [pool.submit(start) for _ in range(4)]:
            started.result()
    with closing(open_database(postgres_address)) as database, database.connection():
        assert database.execute("SELECT count(*) FROM schema_migration").fetchone() == (len(MIGRATIONS),)
        assert database.execute("SELECT count(*) FROM removals").fetchone() == (1,)


def test_a_replica_waits_for_another_that_migrates_as_long_as_it_takes(
    postgres_address: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT_SECONDS", 0.05)
    other = PostgresDatabase(postgres_address)
    with ThreadPoolExecutor(1) as pool, closing(other), other.connection():
        with other.transaction():
            waiting = pool.submit(lambda: open_database(postgres_address).close())
            wait_for(lambda: waits_for_a_lock(other), "the second replica to wait", 30)
            # Many times longer than anything else would wait for this lock.
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
        waiting.result(timeout=30)


def waits_for_a_lock(database: Database) -> bool:
    row = database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()
    return row is not None and row[0] > 0


def test_a_database_of_a_newer_release_is_refused_and_left_alone(address: DatabaseAddress) -> None:
    with closing(open_database(address)) as database, database.connection():
        database.execute(f"INSERT INTO schema_migration VALUES ({SCHEMA_VERSION + 1}, 'later', 0)")
        before = contents(database)
    with pytest.raises(NewerSchemaError, match=f"schema version {SCHEMA_VERSION + 1}"):
        open_database(address)
    with closing(connect(address)) as database, database.connection():
        assert contents(database) == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"no database at all, but long enough to look like one\n" * 100)
    with pytest.raises(PeeweeException, match="not a database"):
        open_database(SqliteFile(tmp_path / "d.db"))


def test_a_server_that_is_too_old_or_does_not_speak_utf8_is_refused(
    database_server: DatabaseServer, postgres_address: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        database_server.database("ENCODING 'LATIN1'") as address,
        pytest.raises(UnusableServerError, match="encoding is LATIN1: expected UTF8"),
    ):
        open_database(address)
    monkeypatch.setattr(postgres, "OLDEST_SERVER", 99)
    with pytest.raises(UnusableServerError, match=r"the server is PostgreSQL \d+: expected 99 or later"):
        open_database(postgres_address)


def make_database_of_version(address: DatabaseAddress, version: int) -> None:
    """Make a database as the release with this schema version left it: a version and a run in it, of one work."""
    with closing(connect(address)) as database, database.connection(), database.transaction():
        database.execute(
            database.schema(
                "CREATE TABLE schema_migration"
                " (version {given_key}, purpose {text} NOT NULL, applied_at {integer} NOT NULL)"
            )
        )
        for migration in MIGRATIONS[:version]:
            for statement in migration.statements:
                database.execute(database.schema(statement))
            database.execute(f"INSERT INTO schema_migration VALUES ({migration.version}, 'then', 0)")
        forged = ", hostname_forged" if version >= 2 else ""
        for statement, values in (
            ("INSERT INTO work (class_div, hw_name, student_id) VALUES (?, ?, ?)", tuple(WORK)),
            ("INSERT INTO source_file (work, filename) VALUES (1, 'a.c')", ()),
            ("INSERT INTO origin (agent, node, release, boot_id) VALUES (?, ?, ?, ?)", tuple(ORIGIN)),
            (
                "INSERT INTO event (event_id, type, work, occurred_at, received_at, origin, sequence)"
                " VALUES (?, 'snapshot', 1, 10, 11, 1, 1), (?, 'run', 1, 20, 21, 1, 2)",
                (b"v" * 16, b"p" * 16),
            ),
            ("INSERT INTO version VALUES (1, 1, 10, 'created', 5, NULL, 'x/a.c', NULL, ?)", (False,)),
            (
                "INSERT INTO process (id, work, kind, occurred_at, hostname, pid, started_at, process_type,"
                " binary_path, argv, cmdline, argv_truncated, cwd, target_path, exit_code, signal, core_dumped,"
                f" replaced_by_exec, already_running{forged}) VALUES (2, 1, 'run', 20, 'h', 4711, 19, 'gcc', '/b',"
                " '[]', NULL, ?, '/w', '/w/a', NULL, 11, ?, ?, ?" + (", ?" if forged else "") + ")",
                (False, True, False, True, False)[: 5 if forged else 4],
            ),
        ):
            database.execute(statement.replace("?", database.param), values)


OLDER = [step.version for step in MIGRATIONS[:-1]]


@pytest.mark.parametrize("version", OLDER)
def test_an_older_database_keeps_its_data_and_takes_events_and_gaps(
    address: DatabaseAddress, version: int
) -> None:
    make_database_of_version(address, version)
    with closing(open_database(address)) as database:
        assert schema_version(database) == SCHEMA_VERSION
        saved, run = events_page(database, EventFilter(), 0, 10).events
        assert (saved.event_id, saved.filename, saved.change, saved.node) == (
            b"v" * 16, "a.c", "created", ORIGIN.node,
        )  # fmt: skip
        assert (run.event_id, run.pid, run.signal, run.core_dumped, run.replaced_by_exec, run.already_running) == (
            b"p" * 16, 4711, 11, True, False, True,
        )  # fmt: skip
        assert run.hostname_forged == 0
        store = EventStore(database)
        repeated = version_record(10)._replace(event_id=b"v" * 16)
        gap = gap_record(30)
        assert store.write([repeated, gap, version_record(40, change=None), process_record(50)]) == [
            False, True, True, True,
        ]  # fmt: skip
        assert [event.row for event in events_page(database, EventFilter(), 0, 10).events] == [1, 2, 3, 4]
        assert [event.change for event in events_page(database, EventFilter(), 2, 1).events] == ["modified"]
        [found] = gaps_page(database, GapFilter(), 0, 10).gaps
        assert (found.event_id, found.node) == (gap.event_id, ORIGIN.node)


@pytest.mark.parametrize("version", OLDER)
def test_a_database_that_was_migrated_is_what_a_new_one_is(address: DatabaseAddress, version: int) -> None:
    with closing(open_database(address)) as database, database.connection():
        new = schema(database)
        for table in reversed(ALL_TABLES):
            database.execute(f"DROP TABLE {table._meta.table_name}")
    make_database_of_version(address, version)
    with closing(open_database(address)) as database, database.connection():
        assert [sorted(part, key=str) for part in schema(database)] == [sorted(part, key=str) for part in new]


def test_the_file_of_the_first_release_is_what_its_steps_make_today(tmp_path: Path) -> None:
    """The words of the schema must say to SQLite, letter for letter, what the first release said."""
    make_database_of_version(SqliteFile(tmp_path / "d.db"), 1)
    with closing(sqlite3.connect(tmp_path / "d.db")) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'event'").fetchall()
    assert [" ".join(sql.split()) for (sql,) in rows] == [
        "CREATE TABLE event ( id INTEGER PRIMARY KEY AUTOINCREMENT, event_id BLOB NOT NULL UNIQUE, type TEXT NOT"
        " NULL CHECK (type IN ('snapshot', 'build', 'run')), work INTEGER NOT NULL REFERENCES work (id),"
        " occurred_at INTEGER NOT NULL, received_at INTEGER NOT NULL, origin INTEGER REFERENCES origin (id),"
        " sequence INTEGER ) STRICT"
    ]


def test_a_step_that_fails_leaves_the_database_as_it_was(address: DatabaseAddress) -> None:
    make_database_of_version(address, 1)
    with closing(connect(address)) as database, database.connection():
        database.execute("CREATE INDEX gap_time ON event (occurred_at)")  # the name is taken
        before = contents(database)
        if isinstance(database, PostgresDatabase):
            before += schema(database)
    with pytest.raises(PeeweeException, match="gap_time"):
        open_database(address)
    with closing(connect(address)) as database, database.connection():
        after = contents(database)
        if isinstance(database, PostgresDatabase):
            after += schema(database)
    assert after == before


def test_the_models_name_exactly_the_columns_that_the_migrations_made(database: Database) -> None:
    for table in ALL_TABLES:
        name = table._meta.table_name
        if isinstance(database, SqliteDatabase):
            rows = database.execute(f"SELECT name FROM pragma_table_info('{name}')").fetchall()
        else:
            rows = database.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s", (name,)
            ).fetchall()
        assert {column for (column,) in rows} == set(table._meta.columns), table


def test_a_commit_on_a_server_is_flushed_whatever_the_server_is_set_to(
    database_server: DatabaseServer, postgres_address: PostgresServer
) -> None:
    with database_server.connect() as connection:
        for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
            connection.execute(f"ALTER DATABASE {postgres_address.database} SET {setting}".encode())
    with closing(open_database(postgres_address)) as database, database.connection(), database.transaction():
        assert database.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert database.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


def test_a_commit_is_flushed_to_disk_and_references_are_enforced(tmp_path: Path) -> None:
    with closing(open_database(SqliteFile(tmp_path / "d.db"))) as database:
        settings = {
            name: database.execute(f"PRAGMA {name}").fetchone()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": ("wal",), "synchronous": (2,), "foreign_keys": (1,)}
