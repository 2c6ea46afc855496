"""Reading events as they arrived: pages to follow, and single ones."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from peewee import JOIN

from watcher_backend.storage.database import Database
from watcher_backend.storage.models import Event, Origin, Process, SourceFile, Version, Work


class StoredEvent(NamedTuple):
    """One event with everything that is known of it; times in microseconds since the epoch."""

    row: int
    event_id: bytes
    type: str
    class_div: str
    hw_name: str
    student_id: int
    occurred_at: int
    received_at: int
    sequence: int | None
    agent: str | None
    node: str | None
    release: str | None
    boot_id: str | None
    filename: str | None
    change: str | None
    size: int | None
    sha256: bytes | None
    snapshot_path: str | None
    content_omitted: str | None
    recovered: bool | None
    hostname: str | None
    pid: int | None
    started_at: int | None
    process_type: str | None
    binary_path: str | None
    argv: str | None
    cmdline: str | None
    argv_truncated: bool | None
    cwd: str | None
    target_path: str | None
    exit_code: int | None
    signal: int | None
    core_dumped: bool | None
    replaced_by_exec: bool | None
    already_running: bool | None
    hostname_forged: bool | None


@dataclass(frozen=True)
class EventFilter:
    """Which events; None takes all."""

    class_div: str | None = None
    hw_name: str | None = None
    student_id: int | None = None
    type: str | None = None

    @property
    def names_works(self) -> bool:
        """Whether the filter picks works, not only a type."""
        return not (self.class_div is None and self.hw_name is None and self.student_id is None)


class EventPage(NamedTuple):
    """Events in order of arrival, and the row after which the next page begins."""

    events: list[StoredEvent]
    next_row: int


def events_page(database: Database, wanted: EventFilter, after_row: int, limit: int) -> EventPage:
    """Return up to ``limit`` events that arrived after the row ``after_row``, in order of arrival.

    The page's next_row never stands before events that the caller has not been given, and never after an
    event that arrives later: whoever asks again from there misses nothing and sees nothing twice.
    """
    # First where the table ends, then the page up to there: what is committed in between is the next page's.
    newest = _newest_row(database)
    rows = _rows_of_page(database, wanted, after_row, newest, limit)
    events = _load(database, Event.id.in_(rows)) if rows else []
    return EventPage(events, rows[-1] if len(rows) == limit else max(after_row, newest))


def event_by_id(database: Database, event_id: bytes) -> StoredEvent | None:
    """Return the event with this id, None where there is none."""
    found = _load(database, Event.event_id == event_id)
    return found[0] if found else None


def _newest_row(database: Database) -> int:
    row = database.execute("SELECT max(id) FROM event").fetchone()
    return row[0] if row and row[0] else 0


def _rows_of_page(database: Database, wanted: EventFilter, after: int, newest: int, limit: int) -> list[int]:
    param = database.param
    of_type, type_value = ("", []) if wanted.type is None else (f" AND e.type = {param}", [wanted.type])
    page = f"e.id > {param} AND e.id <= {param}{of_type} ORDER BY e.id LIMIT {param}"
    page_values: list[object] = [after, newest, *type_value, limit]
    if not wanted.names_works:
        rows = database.execute(f"SELECT e.id FROM event e WHERE {page}", page_values).fetchall()
        return [row for (row,) in rows]
    columns = {"class_div": wanted.class_div, "hw_name": wanted.hw_name, "student_id": wanted.student_id}
    given = {column: value for column, value in columns.items() if value is not None}
    condition = " AND ".join(f"w.{column} = {param}" for column in given)
    # One bounded walk of event_work for each work: a class's page costs its works, not the class's events.
    of_work = f"SELECT e.id FROM event e WHERE e.work = w.id AND {page}"
    rows = database.execute(
        f"""
        SELECT found.id FROM work w {database.of_each("event", of_work)}
        WHERE {condition} ORDER BY found.id LIMIT {param}
        """,
        [*page_values, *given.values(), limit],
    ).fetchall()
    return [row for (row,) in rows]


def _load(database: Database, condition: Any) -> list[StoredEvent]:
    query = (
        Event.select(
            Event.id, Event.event_id, Event.type, Work.class_div, Work.hw_name, Work.student_id,
            Event.occurred_at, Event.received_at, Event.sequence,
            Origin.agent, Origin.node, Origin.release, Origin.boot_id,
            SourceFile.filename, Version.change, Version.size, Version.sha256, Version.snapshot_path,
            Version.content_omitted, Version.recovered,
            Process.hostname, Process.pid, Process.started_at, Process.process_type, Process.binary_path,
            Process.argv, Process.cmdline, Process.argv_truncated, Process.cwd, Process.target_path,
            Process.exit_code, Process.signal, Process.core_dumped, Process.replaced_by_exec,
            Process.already_running, Process.hostname_forged,
        )
        .join(Work, on=(Event.work == Work.id))
        .join(Origin, JOIN.LEFT_OUTER, on=(Event.origin == Origin.id))
        .join(Version, JOIN.LEFT_OUTER, on=(Version.id == Event.id))
        .join(SourceFile, JOIN.LEFT_OUTER, on=(Version.file == SourceFile.id))
        .join(Process, JOIN.LEFT_OUTER, on=(Process.id == Event.id))
        .where(condition)
        .order_by(Event.id)
    )  # fmt: skip
    return [StoredEvent(*row) for row in database.select(query)]
