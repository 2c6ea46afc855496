"""Backups: all or nothing, of either database into either, and never over something that is there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.postgres import BOTH, empty_database
from unit.backend.samples import ORIGIN, WORK, gap_record, process_record, version_record
from watcher_backend.database_address import DatabaseAddress, SqliteFile
from watcher_backend.names import CANARY_CLASS
from watcher_backend.storage.backup import BackupError, back_up, restore
from watcher_backend.storage.copying import TABLES
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.migrations import MIGRATIONS, SCHEMA_VERSION
from watcher_backend.storage.opening import connect, open_database
from watcher_backend.storage.records import Record


@pytest.fixture(params=BOTH)
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseAddress]:
    """Another empty database, of each kind in turn."""
    (tmp_path / "elsewhere").mkdir()
    with empty_database(request, tmp_path / "elsewhere") as made:
        yield made


def records(number: int) -> list[Record]:
    made: list[Record] = []
    for at in range(number):
        work = WORK._replace(student_id=at % 7)
        made += [
            version_record(at, f"f{at % 3}.c", work=work, origin=ORIGIN._replace(node=f"w{at % 2}")),
            process_record(at, core_dumped=at % 2 == 0)._replace(work=work),
            gap_record(at, class_div="os-1", student_id=at),
        ]
    return made


def fill(address: DatabaseAddress, number: int = 20) -> None:
    """Store events of all kinds, the last of which are removed again."""
    with closing(open_database(address)) as database:
        store = EventStore(database)
        store.write(records(number))
        store.write([version_record(1, work=WORK._replace(class_div=CANARY_CLASS, student_id=7))])
        store.remove_canary(7)


def contents(address: DatabaseAddress) -> dict[str, list[tuple[object, ...]]]:
    with closing(connect(address)) as database, database.connection():
        return {
            table._meta.table_name: database.execute(
                f"SELECT {', '.join(sorted(table._meta.columns))} FROM {table._meta.table_name} ORDER BY id"
            ).fetchall()
            for table in TABLES
        }


def test_a_backup_of_either_is_restored_into_either(
    address: DatabaseAddress, elsewhere: DatabaseAddress, tmp_path: Path
) -> None:
    fill(address, 3_000)
    backed_up = back_up(address, tmp_path / "backup.db")
    assert (backed_up["event"], backed_up["version"], backed_up["gap"]) == (6_000, 3_000, 3_000)
    assert restore(tmp_path / "backup.db", elsewhere) == backed_up
    assert contents(elsewhere) == contents(address)


def test_what_is_restored_is_gone_on_with(
    address: DatabaseAddress, elsewhere: DatabaseAddress, tmp_path: Path
) -> None:
    """A reader's cursor stands behind all that was ever given out, also behind what was removed."""
    fill(address)
    back_up(address, tmp_path / "backup.db")
    restore(tmp_path / "backup.db", elsewhere)
    with closing(open_database(elsewhere)) as database:
        store = EventStore(database)
        new = version_record(99, "new.c", work=WORK._replace(student_id=1000), origin=ORIGIN._replace(node="new"))
        assert store.write([new, gap_record(5)]) == [True, True]
        assert database.execute("SELECT max(id) FROM event").fetchone() == (42,)
        assert database.execute("SELECT max(id) FROM gap").fetchone() == (21,)


def test_a_backup_leaves_one_file_and_its_database_as_it_was(address: DatabaseAddress, tmp_path: Path) -> None:
    fill(address)
    before = contents(address)
    (tmp_path / "backups").mkdir()
    back_up(address, tmp_path / "backups" / "one.db")
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["one.db"]
    assert contents(address) == before


def test_a_backup_replaces_nothing_and_needs_a_directory(address: DatabaseAddress, tmp_path: Path) -> None:
    fill(address)
    (tmp_path / "there").write_text("precious")
    with pytest.raises(BackupError, match="expected the name of a new file"):
        back_up(address, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"
    with pytest.raises(BackupError, match="is no directory"):
        back_up(address, tmp_path / "nowhere" / "backup.db")


def test_a_database_that_holds_something_is_replaced_only_by_force(
    address: DatabaseAddress, elsewhere: DatabaseAddress, tmp_path: Path
) -> None:
    fill(address)
    back_up(address, tmp_path / "backup.db")
    fill(elsewhere, 3)
    before = contents(elsewhere)
    with pytest.raises(BackupError, match="not empty: expected --force"):
        restore(tmp_path / "backup.db", elsewhere)
    assert contents(elsewhere) == before
    with closing(open_database(elsewhere)) as database:
        running = EventStore(database)
        running.write([version_record(50, "mine.c")])
        restore(tmp_path / "backup.db", elsewhere, force=True)
        assert contents(elsewhere) == contents(address)
        # A replica that ran meanwhile goes on with what is there now.
        assert running.write([version_record(51, "mine.c", change=None)]) == [True]
        assert database.execute("SELECT change FROM version ORDER BY id DESC LIMIT 1").fetchone() == ("created",)


def test_a_restore_that_fails_in_the_middle_leaves_everything_as_it_was(
    address: DatabaseAddress, elsewhere: DatabaseAddress, tmp_path: Path
) -> None:
    fill(address)
    back_up(address, tmp_path / "backup.db")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup, backup:
        # A process of no event: the last but one table that is copied refuses it.
        backup.execute("UPDATE process SET id = 9999 WHERE id = (SELECT max(id) FROM process)")
    fill(elsewhere, 3)
    before = contents(elsewhere)
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        restore(tmp_path / "backup.db", elsewhere, force=True)
    assert contents(elsewhere) == before


def test_a_file_that_is_no_backup_is_refused(address: DatabaseAddress, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is not there"):
        restore(tmp_path / "nothing.db", address)
    (tmp_path / "text").write_text("no database\n" * 1000)
    with pytest.raises(BackupError, match="cannot be read: file is not a database"):
        restore(tmp_path / "text", address)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE snapshot (id INTEGER)")
    with pytest.raises(BackupError, match="is no backup"):
        restore(tmp_path / "other.db", address)


def test_a_damaged_backup_is_refused(address: DatabaseAddress, tmp_path: Path) -> None:
    fill(address, 500)
    back_up(address, tmp_path / "backup.db")
    content = bytearray((tmp_path / "backup.db").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = b"\xff" * 8192
    (tmp_path / "backup.db").write_bytes(content)
    with pytest.raises(BackupError, match=r"is damaged|cannot be read"):
        restore(tmp_path / "backup.db", address, force=True)


def test_a_backup_of_a_newer_release_is_refused(address: DatabaseAddress, tmp_path: Path) -> None:
    fill(address)
    back_up(address, tmp_path / "backup.db")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup, backup:
        backup.execute("INSERT INTO schema_migration VALUES (?, 'later', 0)", (SCHEMA_VERSION + 1,))
    with pytest.raises(BackupError, match=f"schema version {SCHEMA_VERSION + 1}"):
        restore(tmp_path / "backup.db", address, force=True)


def test_a_backup_of_an_older_release_goes_through_the_steps(address: DatabaseAddress, tmp_path: Path) -> None:
    with closing(connect(SqliteFile(tmp_path / "old.db"))) as old, old.connection(), old.transaction():
        old.execute(
            "CREATE TABLE schema_migration (version INTEGER PRIMARY KEY, purpose TEXT, applied_at INTEGER)"
        )
        for statement in MIGRATIONS[0].statements:
            old.execute(old.schema(statement))
        old.execute("INSERT INTO schema_migration VALUES (1, 'then', 0)")
        old.execute("INSERT INTO work VALUES (1, ?, ?, ?)", tuple(WORK))
        old.execute("INSERT INTO event VALUES (5, ?, 'snapshot', 1, 10, 11, NULL, NULL)", (b"v" * 16,))
    assert restore(tmp_path / "old.db", address)["event"] == 1
    assert contents(address)["event"][0][:2] == (b"v" * 16, 5)
