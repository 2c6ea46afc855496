"""Import of the database of the system in use before: tables snapshot, buildlog and runlog of a SQLite file.

A table is named as its model's class, in small letters. Times are local times of the site: a snapshot's as
YYYYmmdd_HHMMSS, a log's as ISO 8601 without an offset.
"""

import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import ValidationError

from watcher_backend.clock import now_micros, to_micros
from watcher_backend.legacy import BuildPost, RunPost, SnapshotPost, process_record, snapshot_record
from watcher_backend.names import check_filename, check_legacy_name, parse_student_id
from watcher_backend.problems import ProblemError, invalid_fields
from watcher_backend.storage.records import EventRecord, WorkKey
from watcher_backend.text import printable

_Value = TypeVar("_Value")

_PREFIX = "sqlite:///"
_WORK = ("class_div", "hw_name", "student_id")
# What each table must have beside its id; others are left unread.
_COLUMNS = {
    "snapshot": (*_WORK, "filename", "timestamp", "file_size"),
    "buildlog": (*_WORK, "cwd", "binary_path", "cmdline", "exit_code", "target_path", "timestamp"),
    "runlog": (*_WORK, "cmdline", "exit_code", "cwd", "target_path", "process_type", "timestamp"),
}
_ROWS_AT_A_TIME = 1_000
_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_BARS = 0.2
_BAR_WIDTH = 40


class OldDatabaseError(Exception):
    """The file cannot be imported; the text says why, in one line."""


@dataclass
class Imported:
    """What became of a table's rows. refused: how many for which reason, with the id of the first of them."""

    stored: int = 0
    present: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first_refused: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return self.stored + self.present + self.refused.total()


def file_of(url: str) -> Path:
    """Return the file that sqlite:///relative.db or sqlite:////absolute.db names. Raises OldDatabaseError."""
    path = Path(url.removeprefix(_PREFIX))
    if not url.startswith(_PREFIX) or not path.name:
        raise OldDatabaseError(f"{url!r} is no address of a file: expected one like sqlite:////data/database.db")
    if not path.is_file():
        raise OldDatabaseError(f"{path} is not there: expected the old system's database file")
    return path


def import_rows(
    file: Path, zone: tzinfo, write: Callable[[Sequence[EventRecord]], list[bool]], progress: "Progress"
) -> dict[str, Imported]:
    """Read every row of the old database and hand it to ``write``, which says for each whether it is new.

    zone: of the old database's times. A row's event id is made from what it says, so that it is stored once
    however often it is imported. Raises OldDatabaseError, and what ``write`` raises: what was written before
    that stays, and importing again goes on.
    """
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as old:
            tables = _tables(old, file)
            progress.begin(sum(old.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables))
            imported = {name: Imported() for name in tables}
            for name, found in imported.items():
                for rows in _pages(old, name):
                    _import_page(name, rows, zone, write, found)
                    progress.advance(len(rows))
    except sqlite3.DatabaseError as error:
        raise OldDatabaseError(f"{file} cannot be read: {error}") from None
    return imported


def _tables(old: sqlite3.Connection, file: Path) -> list[str]:
    present = []
    for name, wanted in _COLUMNS.items():
        columns = {row[1] for row in old.execute(f"PRAGMA table_info({name})").fetchall()}
        if not columns:
            continue
        missing = [column for column in ("id", *wanted) if column not in columns]
        if missing:
            raise OldDatabaseError(f"{file}: table {name} has no column {', '.join(missing)}")
        present.append(name)
    if not present:
        raise OldDatabaseError(f"{file} has none of the tables {', '.join(_COLUMNS)}")
    return present


def _pages(old: sqlite3.Connection, table: str) -> Iterator[list[tuple[object, ...]]]:
    last: object = None
    columns = ", ".join(("id", *_COLUMNS[table]))
    while True:
        after, values = ("", ()) if last is None else ("WHERE id > ?", (last,))
        rows = old.execute(
            f"SELECT {columns} FROM {table} {after} ORDER BY id LIMIT {_ROWS_AT_A_TIME}", values
        ).fetchall()
        if not rows:
            return
        last = rows[-1][0]
        yield rows


def _import_page(
    table: str,
    rows: Sequence[tuple[object, ...]],
    zone: tzinfo,
    write: Callable[[Sequence[EventRecord]], list[bool]],
    found: Imported,
) -> None:
    records = []
    for row_id, *values in rows:
        fields = dict(zip(_COLUMNS[table], values, strict=True))
        try:
            records.append(_record(table, fields, zone))
        except (ValueError, ProblemError) as error:
            reason = printable(str(error))
            found.refused[reason] += 1
            found.first_refused.setdefault(reason, int(str(row_id)))
    outcomes = write(records) if records else []
    found.stored += sum(outcomes)
    found.present += len(outcomes) - sum(outcomes)


def _record(table: str, fields: dict[str, object], zone: tzinfo) -> EventRecord:
    """Return a row as it is stored. Raises ValueError or ProblemError, naming what is wrong with it."""
    work = WorkKey(
        _named("class_div", fields, check_legacy_name),
        _named("hw_name", fields, check_legacy_name),
        _named("student_id", fields, parse_student_id),
    )
    try:
        if table == "snapshot":
            filename = _named("filename", fields, check_filename)
            size = SnapshotPost.model_validate({"bytes": fields["file_size"]})
            return snapshot_record(work, filename, _in_utc(fields["timestamp"], zone), size, now_micros())
        if table == "buildlog":
            return process_record("build", work, BuildPost.model_validate(fields), zone, now_micros())
        return process_record("run", work, RunPost.model_validate(fields), zone, now_micros())
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False)) from None


def _named(name: str, fields: dict[str, object], check: Callable[[str], _Value]) -> _Value:
    try:
        return check(str(fields[name]))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _in_utc(timestamp: object, zone: tzinfo) -> str:
    """Return a snapshot's local time as an agent would have posted it."""
    try:
        moment = datetime.strptime(str(timestamp).partition(".")[0], "%Y%m%d_%H%M%S")
        micros = to_micros(moment, zone)
    except ValueError:
        raise ValueError("timestamp: expected YYYYmmdd_HHMMSS from 1970 on, like 20250730_151753") from None
    return datetime.fromtimestamp(micros // 1_000_000, timezone.utc).strftime("%Y%m%d_%H%M%S")


class Seen:
    """Tells new events from others without storing them: for a dry run. The ids wait in a file of their own."""

    def __init__(self, stored: Callable[[Sequence[bytes]], set[bytes]]) -> None:
        """stored: which of some ids the database has."""
        self._stored = stored
        # An empty name: a file that SQLite removes by itself.
        self._seen = sqlite3.connect("")
        self._seen.execute("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")

    def write(self, records: Sequence[EventRecord]) -> list[bool]:
        """Return for each record whether it would be new."""
        stored = self._stored([record.event_id for record in records])
        return [
            self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (record.event_id,)).rowcount == 1
            and record.event_id not in stored
            for record in records
        ]

    def close(self) -> None:
        """Remove the file."""
        self._seen.close()


class Progress:
    """How far the import is: a bar on a terminal, else a line a minute."""

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._total = self._done = 0
        self._pause = _SECONDS_BETWEEN_BARS if stream.isatty() else _SECONDS_BETWEEN_LINES
        self._shown_at = clock()

    def begin(self, total: int) -> None:
        """Take notice of how many rows there are."""
        self._total = total

    def advance(self, rows: int) -> None:
        """Take notice of rows that are done, and show it from time to time."""
        self._done += rows
        if self._stream.isatty():
            if self._done >= self._total or self._clock() - self._shown_at >= self._pause:
                self._shown_at = self._clock()
                full = _BAR_WIDTH * self._done // self._total
                bar = "#" * full + "." * (_BAR_WIDTH - full)
                end = "\n" if self._done >= self._total else ""
                self._stream.write(f"\r[{bar}] {self._done} of {self._total} rows{end}")
                self._stream.flush()
        elif self._clock() - self._shown_at >= self._pause:
            self._shown_at = self._clock()
            self._stream.write(f"{self._done} of {self._total} rows\n")
            self._stream.flush()
