"""Copying everything from one database into another, of whichever kind: backups, and the way to PostgreSQL."""

from collections.abc import Iterator
from typing import Any

from peewee import BooleanField

from watcher_backend.storage.database import Database
from watcher_backend.storage.models import Event, Gap, Origin, Process, SourceFile, Table, Version, Work

# What others refer to comes first. Not among them: what a database says of itself.
TABLES: tuple[type[Table], ...] = (Work, SourceFile, Origin, Event, Version, Process, Gap)

_ROWS_AT_A_TIME = 2_000


def copy_everything(source: Database, target: Database) -> dict[str, int]:
    """Copy all rows under their ids; return how many there were of each table.

    To be called inside one transaction of each; the target's tables are empty.
    """
    counts = {}
    for table in TABLES:
        name, columns = table._meta.table_name, tuple(table._meta.columns)
        counts[name] = 0
        for rows in _pages(source, table, name, columns):
            target.insert(name, columns, [value for row in rows for value in row])
            counts[name] += len(rows)
        # Also those of rows that are there no more: a reader's cursor stands behind them.
        target.set_last_row(name, source.last_row(name))
    return counts


def remove_everything(database: Database) -> None:
    """Remove all rows; to be called inside a transaction."""
    for table in reversed(TABLES):
        database.execute(f"DELETE FROM {table._meta.table_name}")


def is_empty(database: Database) -> bool:
    """Return whether there is no row."""
    return all(
        database.execute(f"SELECT 1 FROM {table._meta.table_name} LIMIT 1").fetchone() is None for table in TABLES
    )


def _pages(
    source: Database, table: type[Table], name: str, columns: tuple[str, ...]
) -> Iterator[list[tuple[Any, ...]]]:
    page = f"SELECT {', '.join(columns)} FROM {name} WHERE id > {source.param} ORDER BY id LIMIT {_ROWS_AT_A_TIME}"
    booleans = [
        index for index, column in enumerate(columns) if isinstance(table._meta.columns[column], BooleanField)
    ]
    last = 0
    key = columns.index("id")
    while True:
        rows = source.execute(page, (last,)).fetchall()
        if not rows:
            return
        last = rows[-1][key]
        # SQLite answers 0 and 1.
        yield [_with_booleans(row, booleans) for row in rows] if booleans else rows


def _with_booleans(row: tuple[Any, ...], booleans: list[int]) -> tuple[Any, ...]:
    values = list(row)
    for index in booleans:
        values[index] = bool(values[index])
    return tuple(values)
