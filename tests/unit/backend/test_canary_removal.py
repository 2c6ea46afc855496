"""Removing a canary's events: all of that canary's, nothing of anybody else's, and at no cost to the others."""

import asyncio

from unit.backend.noting_database import Noted
from unit.backend.samples import WORK, gap_record, process_record, version_record
from watcher_backend import work_queries
from watcher_backend.ingest import IngestWriter
from watcher_backend.names import CANARY_CLASS
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.records import WorkKey

CANARY = WorkKey(CANARY_CLASS, "hw1", 7)
TABLES = ("work", "source_file", "event", "version", "process", "gap")


def rows(database: Database) -> dict[str, int]:
    counts = {}
    for table in TABLES:
        row = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row
        counts[table] = row[0]
    return counts


def test_everything_of_the_canary_goes_and_all_else_stays(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(1), process_record(2), version_record(3, work=CANARY._replace(student_id=8))])
    others = rows(database)
    store.write(
        [
            version_record(4, work=CANARY),
            version_record(5, work=CANARY, filename="b.c"),
            process_record(6)._replace(work=CANARY),
            process_record(7)._replace(work=CANARY._replace(hw_name="hw2")),
        ]
    )
    assert store.remove_canary(7) == 4
    assert rows(database) == others
    assert store.remove_canary(7) == 0


def test_the_canarys_gaps_go_too_and_those_of_nodes_and_others_stay(database: Database) -> None:
    store = EventStore(database)
    store.write(
        [
            gap_record(1),
            gap_record(2, class_div=CANARY_CLASS, student_id=8),
            gap_record(3, class_div="os-1", student_id=7),
        ]
    )
    others = rows(database)
    store.write([gap_record(4, class_div=CANARY_CLASS, student_id=7)])
    assert store.remove_canary(7) == 1, "without any event of it"
    store.write([gap_record(5, class_div=CANARY_CLASS, student_id=7), version_record(6, work=CANARY)])
    assert store.remove_canary(7) == 2
    assert rows(database) == others


def test_a_student_of_a_real_class_with_the_canarys_number_keeps_everything(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(1), process_record(2)])
    before = rows(database)
    assert store.remove_canary(WORK.student_id) == 0
    assert rows(database) == before


def test_a_row_id_that_is_used_again_does_not_bring_the_canary_back(database: Database) -> None:
    """A student's first save after a removal may get the canary's row ids; it is still the student's own."""
    store = EventStore(database)
    store.write([version_record(1, work=CANARY, change=None), process_record(2)._replace(work=CANARY)])
    store.remove_canary(7)
    student = WORK._replace(student_id=1)
    store.write([version_record(3, change=None, work=student), version_record(4, change=None, work=CANARY)])
    assert work_queries.filenames(database, student) == ["a.c"]
    assert work_queries.filenames(database, CANARY) == ["a.c"]
    changes = database.execute("SELECT change FROM version ORDER BY id").fetchall()
    assert changes == [("created",), ("created",)]


def test_no_statement_of_a_removal_reads_a_whole_table(sqlite_database: Database) -> None:
    store = EventStore(sqlite_database)
    store.write([version_record(1, work=CANARY), process_record(2)._replace(work=CANARY)])
    noted = Noted(sqlite_database)
    store.remove_canary(7)
    plans = noted.plans()
    assert len(plans) == 9
    for steps in plans:
        assert [step for step in steps if step.startswith("SCAN")] == [], steps


def test_what_was_queued_before_the_removal_is_removed_too(database: Database) -> None:
    writer = IngestWriter(database)

    async def run() -> None:
        before = asyncio.ensure_future(writer.store([version_record(1, work=CANARY), version_record(2)]))
        await asyncio.sleep(0)
        removal = asyncio.ensure_future(writer.remove_canary(7))
        await asyncio.sleep(0)
        after = asyncio.ensure_future(writer.store([version_record(3, work=CANARY)]))
        await asyncio.sleep(0)
        writer.start()
        assert (await before, await removal, await after) == ([True, True], 1, [True])

    asyncio.run(run())
    assert writer.stop(10)
    assert rows(database)["version"] == 2
