"""The schema: made once, never by an older release, and what the models say it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from peewee import PeeweeException

from unit.backend.samples import ORIGIN, WORK, gap_record, process_record, version_record
from watcher_backend.event_queries import EventFilter, events_page
from watcher_backend.gap_queries import GapFilter, gaps_page
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.migrations import MIGRATIONS, SCHEMA_VERSION, NewerSchemaError, schema_version
from watcher_backend.storage.models import ALL_TABLES
from watcher_backend.storage.opening import open_database


def test_a_new_database_has_run_every_step_in_order(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d.db")) as database:
        assert schema_version(database) == SCHEMA_VERSION
        versions = database.execute("SELECT version FROM schema_migration ORDER BY rowid").fetchall()
    assert [version for (version,) in versions] == [step.version for step in MIGRATIONS]
    assert [step.version for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    def dump() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "d.db")) as connection:
            return list(connection.iterdump())

    open_database(tmp_path / "d.db").close()
    first = dump()
    open_database(tmp_path / "d.db").close()
    assert dump() == first


def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_database(tmp_path / "d.db").close()
    with closing(sqlite3.connect(tmp_path / "d.db")) as connection, connection:
        connection.execute("INSERT INTO schema_migration VALUES (?, 'later', 0)", (SCHEMA_VERSION + 1,))
    with pytest.raises(NewerSchemaError, match=f"schema version {SCHEMA_VERSION + 1}"):
        open_database(tmp_path / "d.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"no database at all, but long enough to look like one\n" * 100)
    with pytest.raises(PeeweeException, match="not a database"):
        open_database(tmp_path / "d.db")


def make_database_of_version_1(path: Path) -> None:
    """Make a database as the release with schema version 1 left it: a version and a run in it, of one work."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute(
            "CREATE TABLE schema_migration"
            " (version INTEGER PRIMARY KEY, purpose TEXT NOT NULL, applied_at INTEGER NOT NULL)"
        )
        for statement in MIGRATIONS[0].statements:
            connection.execute(statement)
        for statement, values in (
            ("INSERT INTO schema_migration VALUES (1, 'then', 0)", ()),
            ("INSERT INTO work VALUES (1, ?, ?, ?)", WORK),
            ("INSERT INTO source_file VALUES (1, 1, 'a.c')", ()),
            ("INSERT INTO origin VALUES (1, ?, ?, ?, ?)", ORIGIN),
            ("INSERT INTO event VALUES (1, ?, 'snapshot', 1, 10, 11, 1, 1)", (b"v" * 16,)),
            ("INSERT INTO version VALUES (1, 1, 10, 'created', 5, NULL, 'x/a.c', NULL, 0)", ()),
            ("INSERT INTO event VALUES (2, ?, 'run', 1, 20, 21, 1, 2)", (b"p" * 16,)),
            (
                "INSERT INTO process VALUES (2, 1, 'run', 20, 'h', 4711, 19, 'gcc', '/b', '[]', NULL, 0, '/w',"
                " '/w/a', NULL, 11, 1, 0, 1)",
                (),
            ),
        ):
            connection.execute(statement, values)


def test_a_database_of_version_1_keeps_its_data_and_takes_gaps(tmp_path: Path) -> None:
    make_database_of_version_1(tmp_path / "d.db")
    with closing(open_database(tmp_path / "d.db")) as database:
        assert schema_version(database) == SCHEMA_VERSION
        version, run = events_page(database, EventFilter(), 0, 10).events
        assert (version.event_id, version.filename, version.change, version.node) == (
            b"v" * 16, "a.c", "created", ORIGIN.node,
        )  # fmt: skip
        assert (run.event_id, run.pid, run.signal, run.core_dumped, run.replaced_by_exec, run.already_running) == (
            b"p" * 16, 4711, 11, 1, 0, 1,
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


def test_a_database_that_was_migrated_is_what_a_new_one_is(tmp_path: Path) -> None:
    make_database_of_version_1(tmp_path / "old.db")
    schemas = []
    for name in ("old.db", "new.db"):
        with closing(open_database(tmp_path / name)) as database:
            tables = [table._meta.table_name for table in ALL_TABLES]
            columns = [database.execute(f"PRAGMA table_info({table})").fetchall() for table in tables]
            indexes = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'").fetchall()
            schemas.append((columns, sorted(indexes, key=str)))
    assert schemas[0] == schemas[1]


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    make_database_of_version_1(tmp_path / "d.db")
    with closing(sqlite3.connect(tmp_path / "d.db")) as connection, connection:
        connection.execute("CREATE INDEX gap_time ON event (occurred_at)")  # the name is taken
        before = list(connection.iterdump())
    with pytest.raises(PeeweeException, match="gap_time"):
        open_database(tmp_path / "d.db")
    with closing(sqlite3.connect(tmp_path / "d.db")) as connection:
        assert list(connection.iterdump()) == before


def test_the_models_name_exactly_the_columns_that_the_migrations_made(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d.db")) as database:
        for table in ALL_TABLES:
            columns = database.execute(f"PRAGMA table_info({table._meta.table_name})").fetchall()
            assert {name for _, name, *_ in columns} == set(table._meta.columns), table


def test_a_commit_is_flushed_to_disk_and_references_are_enforced(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "d.db")) as database:
        settings = {
            name: database.execute(f"PRAGMA {name}").fetchone()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": ("wal",), "synchronous": (2,), "foreign_keys": (1,)}
