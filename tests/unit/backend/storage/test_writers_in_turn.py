"""Several writers on one database: each event once, in an order that no reader can fall behind."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from unit.backend.samples import WORK, gap_record, process_record, version_record
from watcher_backend import work_queries
from watcher_backend.database_address import DatabaseAddress
from watcher_backend.event_queries import EventFilter, events_page
from watcher_backend.gap_queries import GapFilter, gaps_page
from watcher_backend.names import CANARY_CLASS
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.opening import connect
from watcher_backend.storage.records import Record, VersionRecord

CANARY = WORK._replace(class_div=CANARY_CLASS, student_id=7)
GROUPS = 60


@pytest.fixture
def other(address: DatabaseAddress, database: Database) -> Iterator[Database]:
    """The same database, as another program has it open."""
    opened = connect(address)
    yield opened
    opened.close()


def in_threads(*work: Callable[[], object]) -> None:
    """Run all at once, each with connections of its own, and raise what one of them raised."""
    with ThreadPoolExecutor(len(work)) as pool:
        for running in [pool.submit(each) for each in work]:
            running.result(timeout=120)


def write_groups(database: Database, groups: list[list[Record]], outcomes: list[list[bool]]) -> None:
    store = EventStore(database)
    with database.connection():
        for group in groups:
            outcomes.append(store.write(group))


def test_a_reader_that_follows_two_writers_misses_nothing_and_sees_nothing_twice(
    address: DatabaseAddress, database: Database, other: Database
) -> None:
    """Groups of different sizes end in another order than they began, if nothing keeps them in turn."""
    groups: list[list[list[Record]]] = [
        [
            [*(version_record(at) for at in range(1 + (number * step) % 40)), gap_record(number)]
            for number in range(GROUPS)
        ]
        for step in (7, 11)
    ]
    written = threading.Event()
    seen: list[bytes] = []
    gaps: list[bytes] = []
    looks = 0

    def follow() -> None:
        nonlocal looks
        with closing(connect(address)) as reading, reading.connection():
            after = after_gap = 0
            last = False
            while True:
                page = events_page(reading, EventFilter(), after, 50)
                gap_page = gaps_page(reading, GapFilter(), after_gap, 50)
                seen.extend(event.event_id for event in page.events)
                gaps.extend(gap.event_id for gap in gap_page.gaps)
                after, after_gap = page.next_row, gap_page.next_row
                looks += 1
                if last and not page.events and not gap_page.gaps:
                    return
                last = written.is_set()

    def write() -> None:
        try:
            in_threads(
                lambda: write_groups(database, groups[0], []),
                lambda: write_groups(other, groups[1], []),
            )
        finally:
            written.set()

    in_threads(follow, write)
    records = [record for writer in groups for group in writer for record in group]
    assert len(seen) == len(set(seen))
    assert set(seen) | set(gaps) == {record.event_id for record in records}
    assert len(gaps) == len(set(gaps)) == 2 * GROUPS
    assert looks > 10, "a reader that looks once proves nothing"


def test_an_event_that_two_writers_get_at_once_is_stored_once_and_new_to_one(
    database: Database, other: Database
) -> None:
    records: list[Record] = [version_record(at) for at in range(200)]
    records += [gap_record(at) for at in range(100)]
    records += [process_record(at) for at in range(100)]
    groups = [records[start : start + 10] for start in range(0, len(records), 10)]
    first: list[list[bool]] = []
    second: list[list[bool]] = []
    in_threads(lambda: write_groups(database, groups, first), lambda: write_groups(other, groups, second))
    flat = [[outcome for group in outcomes for outcome in group] for outcomes in (first, second)]
    assert [one + two for one, two in zip(*flat, strict=True)] == [1] * len(records)
    with database.connection():
        assert database.execute("SELECT count(*) FROM event").fetchone() == (300,)
        assert database.execute("SELECT count(*) FROM gap").fetchone() == (100,)


def test_works_and_files_that_two_writers_meet_at_once_are_made_once(database: Database, other: Database) -> None:
    def groups() -> list[list[Record]]:
        return [
            [version_record(at, f"{at % 10}.c", work=WORK._replace(student_id=at // 10)) for at in range(100)]
            for _ in range(5)
        ]

    in_threads(lambda: write_groups(database, groups(), []), lambda: write_groups(other, groups(), []))
    with database.connection():
        for table, number in (("work", 10), ("source_file", 100), ("origin", 1), ("version", 1000)):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (number,), table


def changes(database: Database) -> list[tuple[object, ...]]:
    return database.execute("SELECT occurred_at, change FROM version ORDER BY occurred_at, id").fetchall()


def test_what_another_writer_stored_counts_for_created_and_modified(database: Database, other: Database) -> None:
    here, there = EventStore(database), EventStore(other)
    here.write([version_record(10, change=None)])
    there.write([version_record(20, size=0, change=None)])
    here.write([version_record(30, change=None)])
    there.write([version_record(40, change=None), version_record(25, change=None)])
    here.write([version_record(35, size=0, change=None)])
    there.write([version_record(37, detail=VersionRecord("a.c", "deleted", 0, recovered=True))])
    there.write([version_record(36, change=None)])
    assert changes(database) == [
        (10, "created"), (20, "deleted"), (25, "created"), (30, "created"), (35, "deleted"), (36, "created"),
        (40, "modified"),
    ]  # fmt: skip


def test_a_work_that_another_writer_removed_is_made_anew(database: Database, other: Database) -> None:
    """Its row id may be another's by then: what is remembered of it is void."""
    here, there = EventStore(database), EventStore(other)
    here.write([version_record(1, work=CANARY, change=None)])
    assert there.remove_canary(7) == 1
    student = WORK._replace(student_id=1)
    there.write([version_record(2, "s.c", work=student)])
    assert here.write([version_record(3, work=CANARY, change=None), version_record(4, "t.c", work=student)]) == [
        True, True,
    ]  # fmt: skip
    assert work_queries.filenames(database, CANARY) == ["a.c"]
    assert work_queries.filenames(database, student) == ["s.c", "t.c"]
    assert (3, "created") in changes(database)


def test_a_writer_that_failed_keeps_nobody_from_writing(database: Database, other: Database) -> None:
    here, there = EventStore(database), EventStore(other)
    with pytest.raises(Exception, match=r"(?i)check"):
        here.write([version_record(1), version_record(2, change="no such change")])
    assert there.write([version_record(3)]) == [True]
    assert here.write([version_record(4)]) == [True]
    assert changes(other) == [(3, "modified"), (4, "modified")]
