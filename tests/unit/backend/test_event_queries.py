"""Pages of events: complete, in order of arrival, and found by index."""

import pytest

from unit.backend.noting_database import Noted
from unit.backend.samples import WORK, process_record, version_record
from watcher_backend import work_queries
from watcher_backend.event_queries import EventFilter, event_by_id, events_page
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore


def everything(database: Database, wanted: EventFilter, limit: int) -> list[bytes]:
    found: list[bytes] = []
    after = 0
    while True:
        page = events_page(database, wanted, after, limit)
        found += [event.event_id for event in page.events]
        if len(page.events) < limit:
            return found
        after = page.next_row


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize(
    "wanted",
    [
        EventFilter(),
        EventFilter(class_div="os-1"),
        EventFilter(class_div="os-1", hw_name="hw2"),
        EventFilter(student_id=2),
        EventFilter("os-1", "hw1", 1),
        EventFilter(type="build"),
        EventFilter(class_div="os-2", type="snapshot"),
        EventFilter(student_id=9),
    ],
)
def test_pages_together_are_what_was_stored_in_order_of_arrival(
    database: Database, wanted: EventFilter, limit: int
) -> None:
    records = []
    for number in range(40):
        work = WORK._replace(class_div=f"os-{number % 3}", hw_name=f"hw{number % 4}", student_id=number % 5)
        make = process_record if number % 2 else version_record
        records.append(make(1000 - number)._replace(work=work))
    EventStore(database).write(records)
    expected = [
        record.event_id
        for record in records
        if wanted.class_div in (None, record.work.class_div)
        and wanted.hw_name in (None, record.work.hw_name)
        and wanted.student_id in (None, record.work.student_id)
        and wanted.type in (None, record.type)
    ]
    assert everything(database, wanted, limit) == expected


def test_following_from_next_gives_what_arrived_since_and_nothing_twice(database: Database) -> None:
    store = EventStore(database)
    wanted = EventFilter(student_id=WORK.student_id)
    assert events_page(database, wanted, 0, 10) == ([], 0)
    first, other, second = (
        version_record(1),
        version_record(2, work=WORK._replace(student_id=1)),
        process_record(3),
    )
    store.write([first, other])
    page = events_page(database, wanted, 0, 10)
    assert [event.event_id for event in page.events] == [first.event_id]
    assert page.next_row == 2, "a reader of few events does not walk over the others again and again"
    store.write([second])
    page = events_page(database, wanted, page.next_row, 10)
    assert [event.event_id for event in page.events] == [second.event_id]
    assert events_page(database, wanted, page.next_row, 10) == ([], page.next_row)


def test_an_event_is_found_by_its_id(database: Database) -> None:
    record = version_record(1)
    EventStore(database).write([version_record(2), record])
    event = event_by_id(database, record.event_id)
    assert event is not None
    assert (event.row, event.filename, event.node) == (2, "a.c", "worker-1")
    assert event_by_id(database, b"\0" * 16) is None


def test_no_query_walks_a_table_that_grows(sqlite_database: Database) -> None:
    EventStore(sqlite_database).write([version_record(1), process_record(2), process_record(3, "run")])
    noted = Noted(sqlite_database)
    work_queries.filenames(sqlite_database, WORK)
    work_queries.version_times(sqlite_database, WORK, "a.c")
    work_queries.log_entries(sqlite_database, WORK, "build")
    event_by_id(sqlite_database, b"\0" * 16)
    for wanted in (
        EventFilter(),
        EventFilter(type="run"),
        EventFilter(class_div="os-1"),
        EventFilter("os-1", "hw1"),
        EventFilter("os-1", "hw1", 202012180, "run"),
        EventFilter(student_id=202012180),
    ):
        events_page(sqlite_database, wanted, 0, 10)
    walked = {step.split()[1] for plan in noted.plans() for step in plan if step.startswith("SCAN")}
    # Only what a query has made itself, from rows that an index found, may be walked.
    assert {name for name in walked if not name.startswith("(subquery")} == {
        "this_work",
        "growth",
        "moments",
        "totals",
    }
