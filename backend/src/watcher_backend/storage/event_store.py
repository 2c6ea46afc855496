"""Writing events: one transaction for many, each event id stored once."""

from collections.abc import Sequence
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


class EventStore:
    """Writes groups of events. Used by one thread at a time.

    Others may write to the same database, each in its own transaction: what this store remembers is compared
    with what they did since at the beginning of each transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = RowIds(database)
        self._changes = FileChanges(database)
        # The last event and the number of removals that what is remembered takes account of.
        self._known_event = 0
        self._known_removals = 0

    def write(self, records: Sequence[Record]) -> list[bool]:
        """Store the events in one transaction; return for each whether it is new.

        It is not where it was seen before, by this agent or by another.

        Raises peewee.PeeweeException where the database refuses; nothing is stored then.
        """
        if not records:
            return []
        try:
            with self._database.transaction():
                outcomes, last_event = self._write(records)
        except BaseException:
            self._ids.rollback()
            self._changes.rollback()
            raise
        self._ids.commit()
        self._changes.commit()
        self._known_event = last_event
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
            among, listed = self._database.among, self._database.listed
            of_works = listed(works)
            files = self._ids_of(f"SELECT id FROM source_file WHERE {among('work', len(works))}", of_works)
            events = f"SELECT id FROM event WHERE {among('work', len(works))}"
            removed = len(self._ids_of(events, of_works))
            for table in ("version", "process"):
                self._database.execute(f"DELETE FROM {table} WHERE id IN ({events})", of_works)
            for table in ("event", "source_file"):
                self._database.execute(f"DELETE FROM {table} WHERE {among('work', len(works))}", of_works)
            self._database.execute(f"DELETE FROM work WHERE {among('id', len(works))}", of_works)
            # The other writers remember these rows, too.
            [removals] = self._ids_of("UPDATE removals SET number = number + 1 RETURNING number", ())
        # SQLite uses row ids of works and files again: what is remembered of these must not pass to others.
        self._ids.forget(works)
        self._changes.forget(files)
        if removals == self._known_removals + 1:
            self._known_removals = removals
        return len(gaps) + removed

    def _ids_of(self, sql: str, values: Sequence[object]) -> list[int]:
        return [row for (row,) in self._database.execute(sql, values).fetchall()]

    def _write(self, records: Sequence[Record]) -> tuple[list[bool], int]:
        """Return for each record whether it is new, and the last event's row."""
        seen, last_event = self._begin([record.event_id for record in records])
        next_id = last_event + 1
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
            if self._is_what_another_node_saw(record):
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
                self._changes.note(file, record.occurred_at, next_id, change, detail.sha256)
                versions += (
                    next_id, file, record.occurred_at, change, detail.size, detail.sha256,
                    detail.snapshot_path, detail.content_omitted, detail.recovered,
                )  # fmt: skip
            else:
                processes += (next_id, work, record.type, record.occurred_at, *detail)
            next_id += 1
        insert = self._database.insert
        if events:
            insert("event", _EVENT_COLUMNS, events)
            self._database.note_event_row(next_id - 1)
        insert("version", _VERSION_COLUMNS, versions)
        insert("process", _PROCESS_COLUMNS, processes)
        insert("gap", _GAP_COLUMNS, gaps)
        return outcomes, next_id - 1

    def _is_what_another_node_saw(self, record: Record) -> bool:
        """Whether an agent tells of a file what another has told: that it is gone, or has the same content.

        Their ids may differ: that of a deletion follows from the version that its agent had captured last, and a
        file that was saved again as it was is no new version to the agent that saw it, while its time is another.
        What is gone is not deleted again, and what is there is not created again with the content that it has; of
        what its agent knew before, content is compared only where it was found by catching up.
        """
        if isinstance(record, GapRecord) or not isinstance(record.detail, VersionRecord):
            return False
        version = record.detail
        if version.change is None or not (version.recovered or version.change in ("created", "deleted")):
            return False
        file = self._ids.source_file(self._ids.work(record.work), version.filename)
        return self._changes.is_so_already(file, record.occurred_at, version.change, version.sha256)

    def _change(self, file: int, occurred_at: int, version: VersionRecord) -> str:
        if version.change is None:
            return self._changes.derive(file, occurred_at, version.size)
        if version.recovered and version.change == "created":
            # New to the agent that found it; another, on the node that the pod was on before, may know it well.
            return self._changes.saved(file, occurred_at)
        return version.change

    def _begin(self, event_ids: Sequence[bytes]) -> tuple[set[bytes], int]:
        """Return those of the ids that are stored, and the last event's row.

        After this, what is remembered takes account of what others wrote before this transaction.
        """
        stored: set[bytes] = set()
        last_event = removals = 0
        for start, count in self._database.pieces(len(event_ids)):
            # Once for each table: the driver of some Pythons warns of parameters with numbers.
            asked = self._database.listed(event_ids[start : start + count])
            among = self._database.among("event_id", count)
            cursor = self._database.execute(
                _lookup_statement(among, self._database.last_event_row), [*asked, *asked]
            )
            for event_id, last, number in cursor.fetchall():
                if event_id is None:
                    last_event, removals = last, number
                else:
                    stored.add(bytes(event_id))
        if removals != self._known_removals:
            self._ids.clear()
            self._changes.clear()
        elif last_event != self._known_event:
            self._changes.learn(self._known_event, last_event)
        self._known_event, self._known_removals = last_event, removals
        return stored, last_event


def stored_ids(database: Database, event_ids: Sequence[bytes]) -> set[bytes]:
    """Return those of the events' ids that are stored."""
    found: set[bytes] = set()
    for start, count in database.pieces(len(event_ids)):
        rows = database.execute(
            f"SELECT event_id FROM event WHERE {database.among('event_id', count)}",
            database.listed(event_ids[start : start + count]),
        ).fetchall()
        found.update(bytes(event_id) for (event_id,) in rows)
    return found


@lru_cache(maxsize=128)
def _lookup_statement(among: str, last_event_row: str) -> str:
    return (
        f"SELECT NULL, {last_event_row}, (SELECT number FROM removals)"
        f" UNION ALL SELECT event_id, NULL, NULL FROM event WHERE {among}"
        f" UNION ALL SELECT event_id, NULL, NULL FROM gap WHERE {among}"
    )
