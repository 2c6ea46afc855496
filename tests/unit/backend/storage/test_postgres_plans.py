"""The plans of PostgreSQL's planner, over tables that are large enough for it to have a choice."""

import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from unit.backend.noting_database import Noted
from unit.backend.samples import ORIGIN, WORK, gap_record, process_record, version_record
from watcher_backend import work_queries
from watcher_backend.database_address import PostgresServer
from watcher_backend.event_queries import EventFilter, event_by_id, events_page
from watcher_backend.gap_queries import GapFilter, gap_by_id, gaps_page
from watcher_backend.names import CANARY_CLASS
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.opening import open_database
from watcher_backend.storage.records import Record

STUDENTS = 6_000
EVENTS = 12_000


def various(number: int) -> list[Record]:
    work = WORK._replace(class_div=f"os-{number % 10}", hw_name=f"hw{number % 3}", student_id=number % STUDENTS)
    origin = ORIGIN._replace(node=f"w{number % 50}")
    return [
        version_record(number, f"f{number % 4}.c", work=work, origin=origin),
        process_record(number, ("build", "run")[number % 2])._replace(work=work, origin=origin),
        gap_record(
            number,
            number - number % 60,
            class_div=None if number % 10 == 0 else work.class_div,
            student_id=None if number % 10 == 0 else work.student_id,
            cause=("agent_stopped", "probe_loss", "spool_full")[min(number % 40, 2)],
            origin=origin,
        ),
    ]


@pytest.fixture
def database(postgres_address: PostgresServer) -> Iterator[Database]:
    """A term's worth of several classes, and what the planner knows of it."""
    opened = open_database(postgres_address)
    with opened.connection():
        EventStore(opened).write([record for number in range(EVENTS // 2) for record in various(number)])
        opened.execute("ANALYZE")
        yield opened
    opened.close()


def test_no_query_reads_a_table_that_grows_from_end_to_end(database: Database) -> None:
    work = WORK._replace(class_div="os-7", hw_name="hw1", student_id=7)
    queries: dict[str, Callable[[], object]] = {
        "filenames": lambda: work_queries.filenames(database, work),
        "versions": lambda: work_queries.version_times(database, work, "f3.c"),
        "builds": lambda: work_queries.log_entries(database, work, "run"),
        "event": lambda: event_by_id(database, b"\0" * 16),
        "gap": lambda: gap_by_id(database, b"\0" * 16),
        "write": lambda: EventStore(database).write(various(EVENTS)),
        "removal": lambda: EventStore(database).remove_canary(7),
    }
    for event_filter in (
        EventFilter(),
        EventFilter(type="run"),
        EventFilter("os-7", "hw1", 7),
        EventFilter("os-7", "hw1", 7, "run"),
        EventFilter(student_id=7),
    ):
        for after in (0, EVENTS // 2, EVENTS - 5):
            queries[f"{event_filter} {after}"] = partial(events_page, database, event_filter, after, 10)
    for gap_filter in (
        GapFilter(),
        GapFilter(student_id=7),
        GapFilter(student_id=7, or_node_wide=True),
        GapFilter(class_div="os-7", student_id=7, cause="probe_loss"),
        GapFilter(node="w7"),
        GapFilter(node="w7", cause="probe_loss"),
        GapFilter(cause="probe_loss"),
        GapFilter(node_wide=True),
        GapFilter(since=EVENTS // 2 - 20, until=EVENTS // 2 - 5),
    ):
        queries[str(gap_filter)] = partial(gaps_page, database, gap_filter, 0, 10)
    EventStore(database).write([version_record(1, work=WORK._replace(class_div=CANARY_CLASS, student_id=7))])
    noted = Noted(database)
    for name, ask in queries.items():
        noted.statements.clear()
        ask()
        plans = noted.plans()
        assert plans, name
        for steps in plans:
            walked = {found[1] for step in steps if (found := re.search(r"Seq Scan on (\w+)", step))}
            # Few rows for ever: an agent's boots, one row, and one of the sequence.
            assert walked <= {"origin", "removals", "event_id_seq"}, (name, steps)


def test_a_page_of_one_students_events_reads_no_others(database: Database) -> None:
    """Of a class of thousands, what a page reads is what it shows, not what its class has."""
    page = "SELECT e.id FROM event e WHERE e.work = w.id AND e.id > 0 ORDER BY e.id LIMIT 10"
    steps = database.execute(
        "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF)"
        f" SELECT found.id FROM work w {database.of_each('event', page)} WHERE w.student_id = 7"
        " ORDER BY found.id LIMIT 10"
    ).fetchall()
    # The first is of the whole query, all that is below included.
    read = next(found[1] for (step,) in steps if (found := re.search(r"Buffers: shared hit=(\d+)", step)))
    assert int(read) < 60, steps
