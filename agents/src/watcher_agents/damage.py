"""A damaged spool: noticed, set aside, and what of it can still be read brought into a new one.

Damage is noticed by SQLite while the agent runs, or by a check at its start. A mark beside the file says so until
a new one is in its place, so that a kill in the middle, or a check that finds nothing, changes nothing.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from watcher_agents import losses, spool_schema, wire
from watcher_agents.losses import Loss

log = logging.getLogger(__name__)

KEPT = 2
"""How many damaged spools are kept: the newest."""

_LOOKUPS_AT_MOST = 1_000_000
"""Sequence numbers that are looked up one by one where a scan cannot get through."""

_SUFFIXES = ("", "-wal", "-shm")
_COUNTED_TABLES = ("event", "rejected", "holding")

Row = Sequence[Any]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is damaged (SQLITE_CORRUPT, SQLITE_NOTADB, a text that is none).

    The module has no class of its own for that: it is a plain DatabaseError, unlike all that pass or are ours. Of
    a text that is not UTF-8 it tells by an OperationalError; nothing but UTF-8 was put in.
    """
    return type(error) is sqlite3.DatabaseError or "decode to UTF-8" in str(error)


def mark(path: Path, reason: str) -> None:
    """Note that the file is damaged, for the next start; the first mark stays. Raises OSError."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    reason = " ".join(reason.split())
    text = json.dumps({"stamp": stamp, "reason": reason})
    log.critical("%s is damaged (%s): the next start sets it aside", path, reason)
    with suppress(FileExistsError), _mark_of(path).open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def repair_where_needed(path: Path) -> None:
    """Replace the file where it is marked as damaged, or where a check after an unclean stop finds that it is.

    Raises OSError or sqlite3.OperationalError where that cannot be done now.
    """
    if not _mark_of(path).exists() and path.exists():
        reason = _found_by_check(path)
        if reason is not None:
            mark(path, reason)
    if _mark_of(path).exists():
        _replace(path)


def _mark_of(path: Path) -> Path:
    return path.with_name(path.name + ".damage")


def _found_by_check(path: Path) -> str | None:
    """What is wrong with the file; None where nothing is, or where the agent has stopped in order.

    The check reads the whole file. An orderly stop folds the log into it, so a log says that there was none.
    """
    log_file = path.with_name(path.name + "-wal")
    if not log_file.exists() or log_file.stat().st_size == 0:
        return None
    try:
        with closing(_connect(path, "rw")) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return None if found == "ok" else str(found)


def _replace(path: Path) -> None:
    """Set the file aside and put a new one in its place; begun anew by the next start where it is interrupted."""
    try:
        noted = json.loads(_mark_of(path).read_text(encoding="utf-8"))
        stamp, reason = str(noted["stamp"]), str(noted["reason"])
    except (ValueError, KeyError, TypeError):
        # The kill that it was written for may have come before its text.
        stamp = datetime.fromtimestamp(_mark_of(path).stat().st_mtime, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        reason = "unknown"
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    if not aside.exists() and not path.exists():
        # Somebody has removed it: then there is nothing to replace.
        _mark_of(path).unlink()
        return
    if not (aside.exists() and path.exists()):
        for suffix in _SUFFIXES:
            source, target = (one.with_name(one.name + suffix) for one in (path, aside))
            if source.exists() and not target.exists():
                source.rename(target)
        fresh = path.with_name(path.name + ".new")
        for suffix in (*_SUFFIXES, "-journal"):
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
        saved = _salvage(aside, fresh)
        _remove_traces(aside)
        fresh.rename(path)
        _sync(path.parent)
        log.critical("the spool was damaged (%s): set aside as %s, %s", reason, aside, saved)
    _mark_of(path).unlink()
    _sync(path.parent)
    _remove_all_but_newest(path)


def _remove_traces(aside: Path) -> None:
    """Remove what reading has made beside the file: shared memory, and a log where there was none."""
    aside.with_name(aside.name + "-shm").unlink(missing_ok=True)
    log_file = aside.with_name(aside.name + "-wal")
    if log_file.exists() and log_file.stat().st_size == 0:
        log_file.unlink()


def _remove_all_but_newest(path: Path) -> None:
    prefix = f"{path.name}.damaged-"
    found = sorted(
        one
        for one in path.parent.iterdir()
        if one.name.startswith(prefix) and not one.name.endswith(_SUFFIXES[1:])
    )
    for old in found[:-KEPT]:
        for suffix in _SUFFIXES:
            old.with_name(old.name + suffix).unlink(missing_ok=True)


def _salvage(damaged: Path, fresh: Path) -> str:
    """Make a new spool of what can be read, with the loss noted in it; what came of that in a few words."""
    with (
        closing(sqlite3.connect(fresh, isolation_level=None)) as target,
        closing(_connect(damaged, "ro")) as source,
    ):
        fresh.chmod(0o600)
        target.execute("BEGIN IMMEDIATE")
        spool_schema.prepare(target)
        salvage = _Salvage(source, target)
        events = salvage.events("event")
        rejected = salvage.events("rejected")
        for table, create in salvage.other_tables():
            salvage.rows(table, create)
        salvage.raise_sequence()
        spool_schema.prepare(target)
        text = f"events read from it: {events} waiting, {rejected} set aside"
        detail = f"the damaged file is {damaged.name}; {text}"
        loss = Loss("spool_damaged", "", salvage.whole_until(), time.time_ns(), counted=False, detail=detail)
        losses.note(target, loss)
        target.execute("COMMIT")
    return text


class _Salvage:
    """Copies what can be read. Every query of the damaged file may fail at any row."""

    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        self._source = source
        self._source.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._target = target
        self._oldest: list[wire.Event | None] = []
        """The first event of each table; None where it cannot be read."""

    def events(self, table: str) -> int:
        """Copy events, waiting or set aside; how many."""
        columns = self._columns(table)
        if "sequence" not in columns:
            self._oldest.append(None)
            return 0
        select = f"SELECT {', '.join(columns)} FROM {table}"
        where = columns.index("sequence")
        copied = 0
        ends: list[int] = []
        for direction in ("ASC", "DESC"):
            is_first, last = True, None
            for row in self._read(f"{select} ORDER BY sequence {direction}"):
                if is_first and direction == "ASC":
                    self._oldest.append(None if row is None else _event_of(columns, row))
                is_first = False
                if row is None:
                    break
                last = row[where]
                copied += self._add_event(table, columns, row)
            else:
                return copied
            if last is not None:
                ends.append(last)
        if len(ends) == 2:
            for sequence in range(ends[0] + 1, min(ends[1], ends[0] + _LOOKUPS_AT_MOST)):
                for row in self._read(f"{select} WHERE sequence = ?", (sequence,)):
                    copied += row is not None and self._add_event(table, columns, row)
        return copied

    def rows(self, table: str, create: str) -> None:
        """Copy another table as it is."""
        if not self._target.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            self._target.execute(create)
        columns = self._columns(table)
        if not columns:
            return
        listed = ", ".join(f'"{name}"' for name in columns)
        insert = f'INSERT OR IGNORE INTO "{table}" ({listed}) VALUES ({", ".join("?" * len(columns))})'
        keys = sorted((row[5], row[1]) for row in self._target.execute(f'PRAGMA table_info("{table}")') if row[5])
        backwards = ", ".join(f'"{name}" DESC' for _, name in keys) or "rowid DESC"
        for order in ("", f" ORDER BY {backwards}"):
            for row in self._read(f'SELECT {listed} FROM "{table}"{order}'):
                if row is None:
                    break
                self._target.execute(insert, row)
            else:
                return

    def other_tables(self) -> list[tuple[str, str]]:
        """Name and form of the tables that hold no events; none where the list of them cannot be read."""
        rows = self._read("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        return [(row[0], row[1]) for row in rows if row is not None and row[0] not in _COUNTED_TABLES]

    def raise_sequence(self) -> None:
        """Go on where the damaged spool was, if that is further than where a new one begins."""
        for row in self._read("SELECT seq FROM sqlite_sequence WHERE name = 'event'"):
            if row is not None and isinstance(row[0], int):
                self._target.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'event'", row)

    def whole_until(self) -> int | None:
        """From when on something may be missing, in nanoseconds; None where that is not known.

        What was noted as "whole until", or, since what waited may be lost, the time of what waited longest.
        """
        noted = [row[0] for row in self._read("SELECT at_ns FROM whole_until") if row is not None]
        if not noted or not isinstance(noted[0], int):
            return None
        times: list[int] = noted[:1]
        for event in self._oldest:
            if event is None:
                return None
            try:
                times.append(wire.nanoseconds(event.get("started_at") or event["occurred_at"]))
            except (ValueError, KeyError, TypeError, AttributeError):
                return None
        return min(times)

    def _add_event(self, table: str, columns: Sequence[str], row: Row) -> bool:
        if _event_of(columns, row) is None:
            return False
        # Not twice where a scan from the other end comes to it again.
        done = self._target.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", row
        )
        return done.rowcount == 1

    def _columns(self, table: str) -> list[str]:
        """The columns that the damaged table and the new one have: the former may be of a release before."""
        known = {row[1] for row in self._target.execute(f'PRAGMA table_info("{table}")')}
        there = [row[1] for row in self._read(f'PRAGMA table_info("{table}")') if row is not None]
        return [name for name in there if name in known]

    def _read(self, query: str, values: Row = ()) -> Iterator[Row | None]:
        """The rows up to where it fails; None at the end says that it did.

        An error of the disk is no reason to wait here: what it holds back is as good as damaged.
        """
        try:
            yield from self._source.execute(query, values)
        except sqlite3.DatabaseError as error:
            log.debug("damaged: %s: %s", query, error)
            yield None


def _event_of(columns: Sequence[str], row: Row) -> wire.Event | None:
    """The event in a row; None where the row is not what was put in."""
    values = dict(zip(columns, row, strict=True))
    try:
        event = spool_schema.decoded(values["body"])
    except (sqlite3.DatabaseError, TypeError):
        return None
    if event.get("id") != values["id"] or not spool_schema.is_content_of(event, values.get("content")):
        return None
    return event


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


def _sync(directory: Path) -> None:
    """Put a directory's entries on disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
