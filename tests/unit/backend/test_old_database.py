"""Import of the old system's database: every row that can be one, once, at the time that it was."""

import io
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from lab.postgres import url_of
from watcher_backend import cli, work_queries
from watcher_backend.clock import parse_instant
from watcher_backend.database_address import DatabaseAddress, SqliteFile
from watcher_backend.event_queries import EventFilter, events_page
from watcher_backend.old_database import OldDatabaseError, Progress, file_of
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.opening import open_database
from watcher_backend.storage.records import WorkKey

WORK = WorkKey("os-1", "hw1", 202012180)
# As the old system's models make them.
TABLES = (
    "CREATE TABLE snapshot (id INTEGER NOT NULL, class_div VARCHAR NOT NULL, hw_name VARCHAR NOT NULL,"
    " student_id INTEGER NOT NULL, filename VARCHAR NOT NULL, timestamp VARCHAR NOT NULL,"
    " file_size INTEGER NOT NULL, PRIMARY KEY (id))",
    "CREATE TABLE buildlog (id INTEGER NOT NULL, class_div VARCHAR NOT NULL, hw_name VARCHAR NOT NULL,"
    " student_id INTEGER NOT NULL, cwd VARCHAR NOT NULL, binary_path VARCHAR NOT NULL, cmdline VARCHAR NOT NULL,"
    " exit_code INTEGER NOT NULL, target_path VARCHAR NOT NULL, timestamp DATETIME NOT NULL, PRIMARY KEY (id))",
    "CREATE TABLE runlog (id INTEGER NOT NULL, class_div VARCHAR NOT NULL, hw_name VARCHAR NOT NULL,"
    " student_id INTEGER NOT NULL, cmdline VARCHAR NOT NULL, exit_code INTEGER NOT NULL, cwd VARCHAR NOT NULL,"
    " target_path VARCHAR NOT NULL, process_type VARCHAR NOT NULL, timestamp DATETIME NOT NULL, PRIMARY KEY (id))",
)
# In Seoul, nine hours ahead of UTC.
SNAPSHOTS: list[tuple[object, ...]] = [
    ("hello.c", "20250730_151753", 120),
    ("hello.c", "20250730_151802", 130),
    ("src@util.h", "20250730_151755", 30),
    ("hello.c", "20250730_151900", 0),
]
BUILD = ("/w", "/usr/bin/gcc", "gcc hello.c", 1, "/w/hello.c", "2025-07-30 15:18:00.250000")
RUN = ("./a.out", 139, "/w", "/w/a.out", "binary", "2025-07-30 15:18:05.000000")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in TABLES:
            connection.execute(statement)
        insert(connection, "snapshot", SNAPSHOTS)
        insert(connection, "buildlog", [BUILD])
        insert(connection, "runlog", [RUN])
    return path


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    for row in rows:
        values = (None, *WORK, *row)
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


def run(address: DatabaseAddress, old: Path, *options: str) -> int:
    return cli.main(["import", *options, f"sqlite:///{old}"], {"DB_URL": url_of(address)})


def counts(text: str) -> dict[str, tuple[int, ...]]:
    """Return for each table its rows, and how many of them were imported, present already and refused."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("  "):
            table, _, rest = line.partition(": ")
            found[table] = tuple(map(int, re.findall(r"\d+", rest)))
    return found


def test_every_row_is_imported_with_the_time_that_it_was(
    address: DatabaseAddress, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """15:17:53 in Seoul is 06:17:53 UTC; 160 bytes of code, 130 + 30, were there at the run."""
    assert run(address, old) == 0
    assert counts(capsys.readouterr().out) == {
        "snapshot": (4, 4, 0, 0),
        "buildlog": (1, 1, 0, 0),
        "runlog": (1, 1, 0, 0),
    }
    with closing(open_database(address)) as database:
        saved = [event for event in events_page(database, EventFilter(), 0, 10).events if event.type == "snapshot"]
        assert [(event.filename, event.change, event.size) for event in saved] == [
            ("hello.c", "created", 120),
            ("hello.c", "modified", 130),
            ("src@util.h", "created", 30),
            ("hello.c", "deleted", 0),
        ]
        assert saved[0].occurred_at == parse_instant("2025-07-30T06:17:53.000000Z")
        [build] = work_queries.log_entries(database, WORK, "build")
        assert build.occurred_at == parse_instant("2025-07-30T06:18:00.250000Z")
        assert (build.binary_path, build.cmdline, build.exit_code, build.file_size) == (
            "/usr/bin/gcc", "gcc hello.c", 1, 150,
        )  # fmt: skip
        [ran] = work_queries.log_entries(database, WORK, "run")
        assert (ran.process_type, ran.exit_code, ran.file_size) == ("binary", 139, 160)


def test_imported_again_everything_is_present_and_what_came_since_is_imported(
    address: DatabaseAddress, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(address, old)
    with closing(sqlite3.connect(old)) as connection, connection:
        insert(connection, "snapshot", [("new.c", "20250731_090000", 5), SNAPSHOTS[0]])
    capsys.readouterr()
    for options in (["--dry-run"], []):
        assert run(address, old, *options) == 0
        assert counts(capsys.readouterr().out) == {
            "snapshot": (6, 1, 5, 0), "buildlog": (1, 0, 1, 0), "runlog": (1, 0, 1, 0),
        }  # fmt: skip
    run(address, old)
    assert counts(capsys.readouterr().out)["snapshot"] == (6, 0, 6, 0)


def test_a_dry_run_tells_the_same_and_writes_nothing(
    address: DatabaseAddress, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        insert(connection, "snapshot", [SNAPSHOTS[1]])
    assert run(address, old, "--dry-run") == 0
    tried = capsys.readouterr().out
    assert "4 would be imported" in tried
    if isinstance(address, SqliteFile):
        assert not address.path.exists()
    assert run(address, old) == 0
    assert counts(capsys.readouterr().out) == counts(tried)


@pytest.mark.parametrize(
    ("table", "column", "value", "reason"),
    [
        ("snapshot", "filename", "a/b.c", "filename: must hold neither a slash"),
        ("snapshot", "timestamp", "2025-07-30", "timestamp: expected YYYYmmdd_HHMMSS"),
        ("snapshot", "timestamp", "20250230_000000", "timestamp: expected YYYYmmdd_HHMMSS"),
        ("snapshot", "file_size", -1, "bytes: "),
        ("snapshot", "file_size", "many", "bytes: "),
        ("snapshot", "student_id", -5, "student_id: expected a student number"),
        ("buildlog", "class_div", "../etc", "class_div: expected 1 to 64"),
        ("buildlog", "timestamp", "yesterday", "timestamp: "),
        ("buildlog", "exit_code", 2**40, "exit_code: "),
        ("runlog", "hw_name", "", "hw_name: expected 1 to 64"),
        ("runlog", "cmdline", "a\0b", "cmdline: "),
        ("runlog", "process_type", b"\xff", "process_type: "),
    ],
)
def test_a_row_that_cannot_be_one_is_refused_with_its_reason_and_the_others_are_imported(
    address: DatabaseAddress,
    old: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    column: str,
    value: object,
    reason: str,
) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = 1", (value,))
    assert run(address, old) == 0
    output = capsys.readouterr().out
    assert f"  1 refused, the first of them id 1: {reason}" in output
    found = counts(output)
    assert found[table] == (found[table][0], found[table][0] - 1, 0, 1)
    assert sum(imported for _, imported, *_ in found.values()) == 5


def test_more_rows_than_one_page_are_imported_in_their_order(address: DatabaseAddress, old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("DELETE FROM snapshot")
        insert(
            connection,
            "snapshot",
            [("a.c", f"20250730_{n // 60 + 10:02d}{n % 60:02d}00", n + 1) for n in range(60 * 9)],
        )
        insert(connection, "runlog", [(*RUN[:-1], f"2025-07-30 15:18:05.{n:06d}") for n in range(1, 2_100)])
    assert run(address, old) == 0
    with closing(open_database(address)) as database:
        assert len(work_queries.version_times(database, WORK, "a.c")) == 540
        assert len(work_queries.log_entries(database, WORK, "run")) == 2_100
        assert EventStore(database).write([]) == []


def test_a_table_that_is_not_there_is_left_out_and_one_without_a_column_refused(
    address: DatabaseAddress, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("DROP TABLE runlog")
    assert run(address, old) == 0
    assert set(counts(capsys.readouterr().out)) == {"snapshot", "buildlog"}
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("ALTER TABLE snapshot RENAME COLUMN file_size TO bytes")
    assert run(address, old) == 1
    assert capsys.readouterr().err == f"watcher-backend: {old}: table snapshot has no column file_size\n"


def test_what_is_no_old_database_is_refused_in_one_line(
    address: DatabaseAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no database\n" * 100)
    sqlite3.connect(tmp_path / "empty.db").close()
    for name, said in (
        ("text", "cannot be read: file is not a database"),
        ("empty.db", "has none of the tables snapshot, buildlog, runlog"),
        ("nowhere.db", "is not there"),
    ):
        assert run(address, tmp_path / name) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert said in line
    with pytest.raises(OldDatabaseError, match="expected one like sqlite:////data"):
        file_of("postgresql://old")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_else_a_line_a_minute() -> None:
    now = 0.0
    terminal, log = _Terminal(), io.StringIO()
    shown = [Progress(stream, lambda: now) for stream in (terminal, log)]
    for progress in shown:
        progress.begin(4_000)
    for seconds in (1.0, 30.0, 61.0, 62.0):
        now = seconds
        for progress in shown:
            progress.advance(1_000)
    assert log.getvalue() == "3000 of 4000 rows\n"
    bars = terminal.getvalue().split("\r")
    assert bars[1] == f"[{'#' * 10}{'.' * 30}] 1000 of 4000 rows"
    assert bars[-1] == f"[{'#' * 40}] 4000 of 4000 rows\n"
