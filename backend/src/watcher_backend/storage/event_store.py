"""Writing events: one transaction for many, each event id stored once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from watcher_backend.storage.database import Database
from watcher_backend.storage.records import EventRecord, VersionRecord
from watcher_backend.storage.row_ids import RowIds

_EVENT_COLUMNS = ("id", "event_id", "type", "work", "occurred_at", "received_at", "origin", "sequence")
_VERSION_COLUMNS = (
    "id", "file", "occurred_at", "change", "size", "sha256", "snapshot_path", "content_omitted", "recovered",
)  # fmt: skip
_PROCESS_COLUMNS = (
    "id", "work", "kind", "occurred_at", "hostname", "pid", "started_at", "process_type", "binary_path",
    "argv", "cmdline", "argv_truncated", "cwd", "target_path", "exit_code", "signal", "core_dumped",
    "replaced_by_exec", "already_running",
)  # fmt: skip

# Rows in one INSERT. Many rows in one statement, because the driver gives up the interpreter's lock at every
# statement and gets it back late while requests are being parsed. Powers of two, so that a handful of
# prepared statements serves every group size; 256 rows of 19 columns stay below SQLite's 32,766 parameters.
_CHUNKS = (256, 64, 16, 4, 1)


class EventStore:
    """Writes groups of events. Used by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = RowIds(database)

    def write(self, records: Sequence[EventRecord]) -> list[bool]:
        """Store the events in one transaction; return for each whether it is new (False: seen before).

        Raises peewee.PeeweeException where the database refuses; nothing is stored then.
        """
        try:
            with self._database.transaction():
                outcomes = self._write(records)
        except BaseException:
            self._ids.rollback()
            raise
        self._ids.commit()
        return outcomes

    def _write(self, records: Sequence[EventRecord]) -> list[bool]:
        seen = self._stored_among([record.event_id for record in records])
        next_id = self._last_event_id() + 1
        outcomes: list[bool] = []
        events: list[object] = []
        versions: list[object] = []
        processes: list[object] = []
        legacy_changes = _ChangesInGroup(self._database)
        for record in records:
            if record.event_id in seen:
                outcomes.append(False)
                continue
            seen.add(record.event_id)
            outcomes.append(True)
            work = self._ids.work(record.work)
            origin = None if record.origin is None else self._ids.origin(record.origin)
            events += (
                next_id, record.event_id, record.type, work,
                record.occurred_at, record.received_at, origin, record.sequence,
            )  # fmt: skip
            detail = record.detail
            if isinstance(detail, VersionRecord):
                file = self._ids.source_file(work, detail.filename)
                change = detail.change or legacy_changes.derive(file, record.occurred_at, detail.size)
                legacy_changes.note(file, record.occurred_at, next_id, change)
                versions += (
                    next_id, file, record.occurred_at, change, detail.size, detail.sha256,
                    detail.snapshot_path, detail.content_omitted, detail.recovered,
                )  # fmt: skip
            else:
                processes += (next_id, work, record.type, record.occurred_at, *detail)
            next_id += 1
        self._insert("event", _EVENT_COLUMNS, events)
        self._insert("version", _VERSION_COLUMNS, versions)
        self._insert("process", _PROCESS_COLUMNS, processes)
        return outcomes

    def _stored_among(self, event_ids: Sequence[bytes]) -> set[bytes]:
        stored: set[bytes] = set()
        for start, count in _chunks(len(event_ids)):
            cursor = self._database.execute(
                _lookup_statement(count, self._database.param), event_ids[start : start + count]
            )
            stored.update(bytes(row[0]) for row in cursor.fetchall())
        return stored

    def _last_event_id(self) -> int:
        row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        last: int = row[0] if row else 0
        return last

    def _insert(self, table: str, columns: tuple[str, ...], values: Sequence[object]) -> None:
        width = len(columns)
        for start, count in _chunks(len(values) // width):
            self._database.execute(
                _insert_statement(table, columns, count, self._database.param),
                values[start * width : (start + count) * width],
            )


class _ChangesInGroup:
    """Tells created from modified for posts that do not say it, from what is stored and what is about to be.

    A file without an earlier version, or whose last one was its deletion, is created.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[int, list[tuple[int, int, str]]] = defaultdict(list)

    def note(self, file: int, occurred_at: int, event: int, change: str) -> None:
        self._noted[file].append((occurred_at, event, change))

    def derive(self, file: int, occurred_at: int, size: int) -> str:
        if size == 0:
            return "deleted"
        param = self._database.param
        stored = self._database.execute(
            f"SELECT occurred_at, id, change FROM version WHERE file = {param} AND occurred_at <= {param}"
            " ORDER BY occurred_at DESC, id DESC LIMIT 1",
            (file, occurred_at),
        ).fetchone()
        earlier = [noted for noted in self._noted[file] if noted[0] <= occurred_at]
        if stored is not None:
            earlier.append(tuple(stored))
        return "created" if not earlier or max(earlier)[2] == "deleted" else "modified"


def _chunks(total: int) -> Iterator[tuple[int, int]]:
    """Cut ``total`` rows into (start, count) pieces of the sizes that statements are made for."""
    start = 0
    for size in _CHUNKS:
        while total - start >= size:
            yield start, size
            start += size


@lru_cache(maxsize=64)
def _insert_statement(table: str, columns: tuple[str, ...], rows: int, param: str) -> str:
    row = f"({', '.join([param] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


@lru_cache(maxsize=16)
def _lookup_statement(count: int, param: str) -> str:
    return f"SELECT event_id FROM event WHERE event_id IN ({', '.join([param] * count)})"
