"""The schema: made once, never by an older release, and what the models say it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from peewee import PeeweeException

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
