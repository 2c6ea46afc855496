"""Writing events: one transaction for many, each event id stored once."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from watcher_backend.names import CANARY_CLASS
from watcher_backend.storage.database import Database
from watcher_backend.storage.file_changes import FileChanges
from watcher_backend.storage.records import GapRecord, Record, VersionRecord
from watcher_backend.storage.row_ids import RowIds

_EVENT_COLUMNS = ("id", "event_id", "type", "work", "occurred_at", "received_at", "origin", "sequence")
_VERSION_COLUMNS = (
    "id", "file", "occurred_at", "change", "size", "sha256", "snapshot_path", "content_omitted", "recovered",
)  # fmt: skip
_PROCESS_COLUMNS = (
    "id", "work", "kind", "occurred_at", "hostname", "pid", "started_at", "process_type", "binary_path",
    "argv", "cmdline", "argv_truncated", "cwd", "target_path", "exit_code", "signal", "core_dumped",
    "replaced_by_exec", "already_running", "hostname_forged",
)  # fmt: skip
_GAP_COLUMNS = (
    "event_id", "class_div", "student_id", "started_at", "occurred_at", "received_at", "origin", "sequence",
    "cause", "files_seen", "files_recovered", "events_lost", "detail",
)  # fmt: skip

# Rows in one statement. Few statements matter more than fast ones: at each the driver gives up the
# interpreter's lock, and gets it back only when a request's handling lets it go. So up to _EXACT rows have a
# statement of just that size, kept prepared; above, powers of two. 256 rows of 20 columns stay below
# SQLite's 32,766 parameters.
_CHUNKS = (256, 128, 64)
_EXACT = 63


class EventStore:
    """Writes groups of events. Used by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = RowIds(database)
        self._changes = FileChanges(database)

    def write(self, records: Sequence[Record]) -> list[bool]:
        """Store the events in one transaction; return for each whether it is new.

        It is not where it was seen before, by this agent or by another.

        Raises peewee.PeeweeException where the database refuses; nothing is stored then.
        """
        try:
            with self._database.transaction():
                outcomes = self._write(records)
        except BaseException:
            self._ids.rollback()
            self._changes.rollback()
            raise
        self._ids.commit()
        self._changes.commit()
        return outcomes

    def remove_canary(self, student_id: int) -> int:
        """Remove all that is stored of this student in the canary's class, and of nobody else.

        Return how many events and gaps that were.

        Raises peewee.PeeweeException where the database refuses; nothing is removed then.
        """
        param = self._database.param
        with self._database.transaction():
            gaps = self._ids_of(
                f"DELETE FROM gap WHERE class_div = {param} AND student_id = {param} RETURNING id",
                (CANARY_CLASS, student_id),
            )
            works = self._ids_of(
                f"SELECT id FROM work WHERE class_div = {param} AND student_id = {param}",
                (CANARY_CLASS, student_id),
            )
            if not works:
                return len(gaps)
            of_works = ", ".join([param] * len(works))
            files = self._ids_of(f"SELECT id FROM source_file WHERE work IN ({of_works})", works)
            events = f"SELECT id FROM event WHERE work IN ({of_works})"
            removed = len(self._ids_of(events, works))
            for table in ("version", "process"):
                self._database.execute(f"DELETE FROM {table} WHERE id IN ({events})", works)
            for table in ("event", "source_file"):
                self._database.execute(f"DELETE FROM {table} WHERE work IN ({of_works})", works)
            self._database.execute(f"DELETE FROM work WHERE id IN ({of_works})", works)
        # Row ids of works and files are used again: what is remembered of these must not pass to others.
        self._ids.forget(works)
        self._changes.forget(files)
        return len(gaps) + removed

    def _ids_of(self, sql: str, values: Sequence[object]) -> list[int]:
        return [row for (row,) in self._database.execute(sql, values).fetchall()]

    def _write(self, records: Sequence[Record]) -> list[bool]:
        seen, last_id = self._already_stored([record.event_id for record in records])
        next_id = last_id + 1
        outcomes: list[bool] = []
        events: list[object] = []
        versions: list[object] = []
        processes: list[object] = []
        gaps: list[object] = []
        for record in records:
            if record.event_id in seen:
                outcomes.append(False)
                continue
            seen.add(record.event_id)
            if self._is_the_same_deletion(record):
                outcomes.append(False)
                continue
            outcomes.append(True)
            if isinstance(record, GapRecord):
                gaps += (
                    record.event_id, record.class_div, record.student_id, record.started_at,
                    record.occurred_at, record.received_at, self._ids.origin(record.origin), record.sequence,
                    record.cause, record.files_seen, record.files_recovered, record.events_lost, record.detail,
                )  # fmt: skip
                continue
            work = self._ids.work(record.work)
            origin = None if record.origin is None else self._ids.origin(record.origin)
            events += (
                next_id, record.event_id, record.type, work,
                record.occurred_at, record.received_at, origin, record.sequence,
            )  # fmt: skip
            detail = record.detail
            if isinstance(detail, VersionRecord):
                file = self._ids.source_file(work, detail.filename)
                change = self._change(file, record.occurred_at, detail)
                self._changes.note(file, record.occurred_at, next_id, change)
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
        self._insert("gap", _GAP_COLUMNS, gaps)
        return outcomes

    def _is_the_same_deletion(self, record: Record) -> bool:
        """Whether an agent found a file gone that another has seen being deleted.

        Their ids differ: each follows from the version that its agent had captured last.
        """
        if isinstance(record, GapRecord) or not isinstance(record.detail, VersionRecord):
            return False
        version = record.detail
        if not (version.recovered and version.change == "deleted"):
            return False
        file = self._ids.source_file(self._ids.work(record.work), version.filename)
        return self._changes.is_deleted_already(file, record.occurred_at)

    def _change(self, file: int, occurred_at: int, version: VersionRecord) -> str:
        if version.change is None:
            return self._changes.derive(file, occurred_at, version.size)
        if version.recovered and version.change == "created":
            # New to the agent that found it; another, on the node that the pod was on before, may know it well.
            return self._changes.saved(file, occurred_at)
        return version.change

    def _already_stored(self, event_ids: Sequence[bytes]) -> tuple[set[bytes], int]:
        """Return those of the ids that are stored, and the last row id that was given out."""
        stored: set[bytes] = set()
        last_id = 0
        for start, count in _chunks(len(event_ids)):
            # Once for each table: the driver of some Pythons warns of parameters with numbers.
            asked = [*event_ids[start : start + count]] * 2
            cursor = self._database.execute(_lookup_statement(count, self._database.param), asked)
            for event_id, last in cursor.fetchall():
                if event_id is None:
                    last_id = last
                else:
                    stored.add(bytes(event_id))
        return stored, last_id

    def _insert(self, table: str, columns: tuple[str, ...], values: Sequence[object]) -> None:
        width = len(columns)
        for start, count in _chunks(len(values) // width):
            self._database.execute(
                _insert_statement(table, columns, count, self._database.param),
                values[start * width : (start + count) * width],
            )


def _chunks(total: int) -> Iterator[tuple[int, int]]:
    """Cut ``total`` rows into (start, count) pieces of the sizes that statements are made for."""
    start = 0
    for size in _CHUNKS:
        while total - start >= size:
            yield start, size
            start += size
    if start < total:
        yield start, total - start


@lru_cache(maxsize=4 * (_EXACT + len(_CHUNKS)))
def _insert_statement(table: str, columns: tuple[str, ...], rows: int, param: str) -> str:
    row = f"({', '.join([param] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


@lru_cache(maxsize=_EXACT + len(_CHUNKS))
def _lookup_statement(count: int, param: str) -> str:
    asked = ", ".join([param] * count)
    return (
        "SELECT NULL, seq FROM sqlite_sequence WHERE name = 'event'"
        f" UNION ALL SELECT event_id, NULL FROM event WHERE event_id IN ({asked})"
        f" UNION ALL SELECT event_id, NULL FROM gap WHERE event_id IN ({asked})"
    )
