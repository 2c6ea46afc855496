"""Pages of gaps: complete, in order of arrival, what overlaps a time, and found by index."""

from dataclasses import replace
from itertools import product

import pytest

from unit.backend.noting_database import Noted
from unit.backend.samples import ORIGIN, gap_record, version_record
from watcher_backend.gap_queries import GapFilter, gap_by_id, gaps_page
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.records import GapRecord


def everything(database: Database, wanted: GapFilter, limit: int) -> list[bytes]:
    found: list[bytes] = []
    after = 0
    while True:
        page = gaps_page(database, wanted, after, limit)
        found += [gap.event_id for gap in page.gaps]
        if len(page.gaps) < limit:
            return found
        after = page.next_row


def various_gaps() -> list[GapRecord]:
    """Gaps of two boots of three nodes and of two agents; a third are of whole nodes, the others of students."""
    return [
        gap_record(
            (number * 7) % 60,
            None if number % 5 == 0 else (number * 7) % 60 // 2,
            class_div=None if number % 3 == 0 else f"os-{number % 2}",
            student_id=None if number % 3 == 0 else number % 4,
            cause=("agent_stopped", "probe_loss", "spool_full")[number % 7 % 3],
            origin=ORIGIN._replace(
                agent=("filemon", "procmon")[number // 3 % 2], node=f"w{number % 4}", boot_id=str(number // 30)
            ),
        )
        for number in range(60)
    ]


def is_wanted(wanted: GapFilter, gap: GapRecord) -> bool:
    if wanted.or_node_wide and gap.student_id is None:
        of_these = True
    else:
        of_these = (
            wanted.class_div in (None, gap.class_div)
            and wanted.student_id in (None, gap.student_id)
            and wanted.node_wide in (None, gap.student_id is None)
        )
    return (
        of_these
        and wanted.node in (None, gap.origin.node)
        and wanted.agent in (None, gap.origin.agent)
        and wanted.cause in (None, gap.cause)
        and (wanted.since is None or gap.occurred_at >= wanted.since)
        and (wanted.until is None or gap.started_at is None or gap.started_at <= wanted.until)
    )


WHOSE = [
    GapFilter(),
    GapFilter(class_div="os-1"),
    GapFilter(student_id=2),
    GapFilter(class_div="os-0", student_id=2),
    GapFilter(student_id=2, or_node_wide=True),
    GapFilter(class_div="os-0", student_id=2, or_node_wide=True),
    GapFilter(node_wide=True),
    GapFilter(node_wide=False),
    GapFilter(class_div="os-1", node_wide=False),
]
# Of every filter that can be made of a value or none for each of these.
WANTED = [
    replace(whose, node=node, agent=agent, cause=cause, since=since, until=until)
    for whose, node, agent, cause, since, until in product(
        WHOSE, (None, "w2"), (None, "procmon"), (None, "probe_loss"), (None, 20), (None, 25)
    )
]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages_together_are_what_was_stored_in_order_of_arrival(database: Database, limit: int) -> None:
    gaps = various_gaps()
    EventStore(database).write(gaps)
    met = 0
    for wanted in WANTED:
        expected = [gap.event_id for gap in gaps if is_wanted(wanted, gap)]
        assert everything(database, wanted, limit) == expected, wanted
        met += bool(expected)
    assert met > len(WANTED) // 2, "filters that find nothing prove little"


def test_following_from_next_gives_what_arrived_since_and_nothing_twice(database: Database) -> None:
    store = EventStore(database)
    wanted = GapFilter(student_id=7)
    assert gaps_page(database, wanted, 0, 10) == ([], 0)
    first, other, second = (gap_record(at, class_div="os-1", student_id=7 + at % 2) for at in (2, 3, 4))
    store.write([first, other, version_record(1)])
    page = gaps_page(database, wanted, 0, 10)
    assert [gap.event_id for gap in page.gaps] == [first.event_id]
    assert page.next_row == 2, "a reader of few gaps does not walk over the others again and again"
    store.write([version_record(2), second])
    page = gaps_page(database, wanted, page.next_row, 10)
    assert [gap.event_id for gap in page.gaps] == [second.event_id]
    assert gaps_page(database, wanted, page.next_row, 10) == ([], page.next_row)


@pytest.mark.parametrize(
    ("since", "until", "met"),
    [
        (None, None, True),
        (20, 20, True),
        (30, 40, True),
        (10, 20, True),
        (22, 28, True),
        (0, 100, True),
        (31, None, False),
        (30, None, True),
        (None, 19, False),
        (None, 20, True),
    ],
)
def test_a_gap_from_20_to_30_is_met_by_what_touches_it(
    database: Database, since: int | None, until: int | None, met: bool
) -> None:
    EventStore(database).write([gap_record(30, 20)])
    assert len(gaps_page(database, GapFilter(since=since, until=until), 0, 10).gaps) == met


def test_a_gap_of_unknown_beginning_began_before_everything(database: Database) -> None:
    EventStore(database).write([gap_record(30, None)])
    assert len(gaps_page(database, GapFilter(until=0), 0, 10).gaps) == 1
    assert gaps_page(database, GapFilter(since=31), 0, 10).gaps == []


def test_a_gap_is_found_by_its_id(database: Database) -> None:
    gap, event = gap_record(1), version_record(3)
    EventStore(database).write([gap_record(2), gap, event])
    found = gap_by_id(database, gap.event_id)
    assert found is not None
    assert (found.row, found.occurred_at, found.node) == (2, 1, "worker-1")
    assert gap_by_id(database, event.event_id) is None


def plan(database: Database, wanted: GapFilter, after_row: int = 0) -> list[str]:
    """Return the steps that a page would take, all of its statements'."""
    noted = Noted(database)
    gaps_page(database, wanted, after_row, 10)
    return [step for steps in noted.plans() for step in steps]


def test_no_query_walks_the_table_or_an_index_from_end_to_end(sqlite_database: Database) -> None:
    EventStore(sqlite_database).write(various_gaps())
    for wanted in WANTED:
        steps = plan(sqlite_database, wanted)
        assert steps
        for step in steps:
            assert step.startswith(("SEARCH", "USE TEMP B-TREE", "CORRELATED LIST SUBQUERY")), (wanted, step)


@pytest.mark.parametrize(
    ("wanted", "searched"),
    [
        (GapFilter(), "g USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (GapFilter(student_id=2, cause="probe_loss"), "gap_student (student_id=? AND id>? AND id<?)"),
        (GapFilter(class_div="os-1", cause="probe_loss"), "gap_class (class_div=? AND id>? AND id<?)"),
        (GapFilter(class_div="os-1", student_id=2, node="w2"), "gap_student (student_id=? AND id>? AND id<?)"),
        (GapFilter(node="w2", cause="probe_loss"), "gap_origin (origin=? AND id>? AND id<?)"),
        (GapFilter(node="w2"), "sqlite_autoindex_origin_1 (node=?)"),
        (GapFilter(node="w2", class_div="os-1"), "gap_origin (origin=? AND id>? AND id<?)"),
        (GapFilter(agent="procmon"), "o USING INTEGER PRIMARY KEY (rowid=?)"),
        (GapFilter(cause="probe_loss", node_wide=True), "gap_cause (cause=? AND id>? AND id<?)"),
        (GapFilter(node_wide=True), "gap_student (student_id=? AND id>? AND id<?)"),
        (GapFilter(since=20, until=25), "gap_time (occurred_at>?)"),
    ],
)
def test_a_page_is_found_by_the_index_that_narrows_most(
    sqlite_database: Database, wanted: GapFilter, searched: str
) -> None:
    EventStore(sqlite_database).write(various_gaps())
    assert any(searched in step for step in plan(sqlite_database, wanted)), plan(sqlite_database, wanted)


def test_further_pages_of_a_time_are_not_sorted_again(sqlite_database: Database) -> None:
    EventStore(sqlite_database).write(various_gaps())
    assert "USE TEMP B-TREE FOR ORDER BY" in plan(sqlite_database, GapFilter(since=20))
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan(sqlite_database, GapFilter(since=20), after_row=5)


def test_one_gap_is_found_by_index(sqlite_database: Database) -> None:
    EventStore(sqlite_database).write(various_gaps())
    noted = Noted(sqlite_database)
    gap_by_id(sqlite_database, b"\0" * 16)
    [searched] = noted.plans()
    assert any("(event_id=?)" in step for step in searched), searched
    assert all(step.startswith("SEARCH") for step in searched), searched
