"""Writing events: each once, whole groups or nothing."""

import hashlib
from collections.abc import Sequence

import pytest
from peewee import PeeweeException

from unit.backend.noting_database import Noted
from unit.backend.samples import ORIGIN, WORK, gap_record, process_record, version_record
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore
from watcher_backend.storage.records import EventRecord, Record, VersionRecord


def changes(database: Database) -> list[tuple[object, ...]]:
    return database.execute("SELECT occurred_at, change FROM version ORDER BY occurred_at, id").fetchall()


def count(database: Database, table: str) -> int:
    row = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_every_field_of_a_version_is_stored(database: Database) -> None:
    detail = VersionRecord("a@b.c", "created", 3, b"h" * 32, "x/y.c", "too_large", recovered=True)
    record = version_record(5)._replace(event_id=b"e" * 16, received_at=6, sequence=7, detail=detail)
    assert EventStore(database).write([record]) == [True]
    assert database.execute(
        "SELECT e.id, event_id, type, class_div, hw_name, student_id, e.occurred_at, received_at, agent, node,"
        " release, boot_id, sequence, filename, change, size, sha256, snapshot_path, content_omitted, recovered"
        " FROM event e JOIN work w ON w.id = e.work JOIN origin o ON o.id = e.origin"
        " JOIN version v ON v.id = e.id JOIN source_file f ON f.id = v.file"
    ).fetchall() == [
        (1, b"e" * 16, "snapshot", *WORK, 5, 6, *ORIGIN, 7, *detail)
    ]  # fmt: skip


def test_every_field_of_a_process_is_stored(database: Database) -> None:
    record = process_record(
        5, "run", hostname="h", pid=2, started_at=4, exit_code=None, signal=9, core_dumped=True,
        hostname_forged=True,
    )  # fmt: skip
    assert EventStore(database).write([record]) == [True]
    assert database.execute(
        "SELECT kind, occurred_at, hostname, pid, started_at, process_type, binary_path, argv, cmdline,"
        " argv_truncated, cwd, target_path, exit_code, signal, core_dumped, replaced_by_exec, already_running,"
        " hostname_forged FROM process"
    ).fetchall() == [("run", 5, *record.detail)]


def test_an_event_is_stored_once_within_a_group_and_across_groups(database: Database) -> None:
    store = EventStore(database)
    first, second = version_record(1), version_record(2)
    assert store.write([first, second, first]) == [True, True, False]
    assert store.write([second, version_record(3)]) == [False, True]
    assert EventStore(database).write([first]) == [False]
    assert count(database, "event") == count(database, "version") == 3


def test_every_field_of_a_gap_is_stored(database: Database) -> None:
    record = gap_record(
        6, 5, class_div="os-1", student_id=7, received_at=8, sequence=9, cause="probe_loss", files_seen=10,
        files_recovered=11, events_lost=12, detail="d",
    )  # fmt: skip
    assert EventStore(database).write([record]) == [True]
    assert database.execute(
        "SELECT event_id, class_div, student_id, started_at, occurred_at, received_at, agent, node, release,"
        " boot_id, sequence, cause, files_seen, files_recovered, events_lost, detail"
        " FROM gap g JOIN origin o ON o.id = g.origin"
    ).fetchall() == [(record.event_id, "os-1", 7, 5, 6, 8, *ORIGIN, 9, "probe_loss", 10, 11, 12, "d")]


def test_gaps_and_events_of_a_group_are_stored_together_and_each_id_once(database: Database) -> None:
    store = EventStore(database)
    first, gap, second = version_record(1), gap_record(2), process_record(3)
    assert store.write([first, gap, second, gap]) == [True, True, True, False]
    assert store.write([gap, gap_record(4), first]) == [False, True, False]
    assert EventStore(database).write([gap]) == [False]
    assert (count(database, "event"), count(database, "gap")) == (2, 2)
    assert database.execute("SELECT id FROM event ORDER BY id").fetchall() == [(1,), (2,)]


def test_an_id_is_stored_once_whichever_table_it_is_in(database: Database) -> None:
    store = EventStore(database)
    event, gap = version_record(1), gap_record(2)
    store.write([event, gap])
    assert store.write([gap_record(3, event_id=event.event_id)]) == [False]
    assert store.write([version_record(4, event_id=gap.event_id)]) == [False]
    assert (count(database, "event"), count(database, "gap")) == (1, 1)


def test_a_group_that_fails_leaves_no_gap(database: Database) -> None:
    store = EventStore(database)
    with pytest.raises(PeeweeException):
        store.write([gap_record(1), version_record(2, change="no such change")])
    assert (count(database, "gap"), count(database, "origin")) == (0, 0)
    for impossible in (gap_record(1, started_at=2), gap_record(1, class_div="os-1"), gap_record(1, student_id=7)):
        with pytest.raises(PeeweeException, match=r"(?i)check"):
            store.write([impossible])
    assert store.write([gap_record(1)]) == [True]


def test_a_group_takes_few_statements_and_without_gaps_none_for_them(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(1), process_record(2)])
    noted = Noted(database)
    store.write([version_record(3), process_record(4)])
    # One that asks which ids are stored, and one for each of the tables event, version and process; PostgreSQL is
    # told besides which row ids were given out.
    assert [statement.sql.split()[0] for statement in noted.statements if "setval" not in statement.sql] == [
        "SELECT", "INSERT", "INSERT", "INSERT",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 127, 255, 256, 257, 1000])
def test_a_group_of_any_size_is_stored_in_order(database: Database, size: int) -> None:
    records = [version_record(at) if at % 3 else process_record(at) for at in range(size)]
    gaps = [gap_record(at) for at in range(size)]
    assert EventStore(database).write([*records, *gaps]) == [True] * (2 * size)
    tables: dict[str, Sequence[Record]] = {"event": records, "gap": gaps}
    for table, written in tables.items():
        stored = database.execute(f"SELECT id, event_id FROM {table} ORDER BY id").fetchall()
        assert stored == [(row, record.event_id) for row, record in enumerate(written, start=1)]
    assert EventStore(database).write([*records, *gaps]) == [False] * (2 * size)


def test_a_group_that_fails_leaves_nothing_and_the_store_works_on(database: Database) -> None:
    store = EventStore(database)
    good = version_record(1)
    bad = version_record(2, change="no such change")
    with pytest.raises(PeeweeException):
        store.write([good, bad])
    assert [count(database, table) for table in ("event", "version", "work", "source_file", "origin")] == [0] * 5
    assert store.write([good]) == [True]
    assert count(database, "version") == 1


def test_a_row_id_is_never_used_again(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(1), version_record(2)])
    database.execute("DELETE FROM version")
    database.execute("DELETE FROM event")
    store.write([version_record(3)])
    assert database.execute("SELECT id FROM event").fetchall() == [(3,)]


def test_a_post_that_does_not_say_it_is_created_then_modified_until_it_is_deleted(database: Database) -> None:
    store = EventStore(database)
    for at, size in ((10, 5), (20, 6), (30, 0), (40, 7)):
        store.write([version_record(at, size=size, change=None)])
    assert changes(database) == [(10, "created"), (20, "modified"), (30, "deleted"), (40, "created")]


def test_created_and_modified_are_told_within_a_group_as_across_groups(database: Database) -> None:
    EventStore(database).write(
        [version_record(at, size=size, change=None) for at, size in ((10, 5), (20, 6), (30, 0), (40, 7))]
    )
    assert changes(database) == [(10, "created"), (20, "modified"), (30, "deleted"), (40, "created")]


def test_a_late_arrival_is_judged_by_what_was_before_it(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(10, change=None), version_record(30, size=0, change=None)])
    store.write([version_record(20, change=None), version_record(5, change=None), version_record(40, change=None)])
    assert changes(database) == [
        (5, "created"), (10, "created"), (20, "modified"), (30, "deleted"), (40, "created"),
    ]  # fmt: skip


def test_what_our_agents_said_counts_for_a_later_post_and_after_a_restart(database: Database) -> None:
    EventStore(database).write([version_record(10, change="created")])
    store = EventStore(database)
    store.write([version_record(20, change=None)])
    store.write([version_record(30, size=0, change="deleted")])
    store.write([version_record(40, change=None)])
    assert changes(database) == [(10, "created"), (20, "modified"), (30, "deleted"), (40, "created")]


def test_a_change_that_was_rolled_back_does_not_count(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(10, change=None)])
    with pytest.raises(PeeweeException):
        store.write([version_record(20, size=0, change=None), version_record(21, change="no such change")])
    store.write([version_record(30, change=None)])
    assert changes(database) == [(10, "created"), (30, "modified")]


def found_by_catching_up(at: int, size: int = 5, filename: str = "a.c", change: str = "created") -> EventRecord:
    return version_record(at, detail=VersionRecord(filename, change, size, recovered=True))


def test_a_file_that_another_node_knew_is_not_created_by_catching_up(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(10, change="created")])
    store.write([found_by_catching_up(20), found_by_catching_up(20, filename="b.c")])
    assert changes(database) == [(10, "created"), (20, "modified"), (20, "created")]


def test_after_a_deletion_a_file_found_by_catching_up_is_created(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(10, change="created"), version_record(20, size=0, change="deleted")])
    store.write([found_by_catching_up(30), found_by_catching_up(15)])
    assert changes(database) == [(10, "created"), (15, "modified"), (20, "deleted"), (30, "created")]


def test_what_was_saved_after_it_does_not_count_for_a_file_found_by_catching_up(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(20, change="modified")])
    store.write([found_by_catching_up(10)])
    assert changes(database) == [(10, "created"), (20, "modified")]


def test_catching_up_is_judged_within_a_group_as_across_groups(database: Database) -> None:
    EventStore(database).write([version_record(10, change="created"), found_by_catching_up(20)])
    assert changes(database) == [(10, "created"), (20, "modified")]


def test_an_empty_file_found_by_catching_up_is_no_deletion(database: Database) -> None:
    EventStore(database).write([found_by_catching_up(10, size=0)])
    EventStore(database).write([found_by_catching_up(20, size=0)])
    assert changes(database) == [(10, "created"), (20, "modified")]


def test_what_was_seen_as_it_happened_or_says_otherwise_is_stored_as_it_was_said(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(10, change="created")])
    store.write([version_record(20, change="created"), found_by_catching_up(30, change="modified")])
    store.write([found_by_catching_up(40, size=0, change="deleted")])
    assert changes(database) == [(10, "created"), (20, "created"), (30, "modified"), (40, "deleted")]


def found_gone(at: int, filename: str = "a.c") -> EventRecord:
    return found_by_catching_up(at, size=0, filename=filename, change="deleted")


def test_a_deletion_that_another_node_saw_is_not_stored_again_by_catching_up(database: Database) -> None:
    store = EventStore(database)
    seen = version_record(20, size=0, change="deleted")
    assert store.write([version_record(10, change="created"), seen]) == [True, True]
    assert store.write([found_gone(30), found_gone(31)]) == [False, False]
    assert EventStore(database).write([found_gone(40)]) == [False]
    assert store.write([version_record(50, change="created"), found_gone(60), found_gone(70)]) == [
        True,
        True,
        False,
    ]
    assert changes(database) == [(10, "created"), (20, "deleted"), (50, "created"), (60, "deleted")]
    assert count(database, "event") == 4


def test_a_deletion_found_by_catching_up_is_stored_where_none_is_known_before_it(database: Database) -> None:
    store = EventStore(database)
    store.write([version_record(10, change="created"), version_record(30, size=0, change="deleted")])
    assert store.write([found_gone(20), found_gone(20, filename="never-seen.c")]) == [True, True]
    assert changes(database) == [(10, "created"), (20, "deleted"), (20, "deleted"), (30, "deleted")]


def test_a_deletion_that_two_nodes_saw_as_it_happened_is_stored_once(database: Database) -> None:
    """A workspace is watched for some seconds after its pod has gone to another node."""
    store = EventStore(database)
    store.write([version_record(10, change="created")])
    deletions = [version_record(at, size=0, change="deleted") for at in (20, 21)]
    assert store.write(deletions) == [True, False]
    assert store.write([version_record(30, change="created"), version_record(40, size=0, change="deleted")]) == [
        True,
        True,
    ]


def found_with(content: bytes, at: int, change: str = "modified", *, recovered: bool = True) -> EventRecord:
    version = VersionRecord("a.c", change, len(content), hashlib.sha256(content).digest(), recovered=recovered)
    return version_record(at, detail=version)


def test_the_content_that_another_node_recorded_is_not_stored_again_by_catching_up(database: Database) -> None:
    """Saved again as it was, the file has another time, and so another id from the node that sees it only now."""
    store = EventStore(database)
    assert store.write([found_with(b"one", 10, "created", recovered=False)]) == [True]
    assert store.write([found_with(b"one", 20, "created"), found_with(b"one", 21)]) == [False, False]
    assert EventStore(database).write([found_with(b"one", 30)]) == [False]
    assert store.write([found_with(b"two", 40), found_with(b"one", 50)]) == [True, True]
    assert changes(database) == [(10, "created"), (40, "modified"), (50, "modified")]


def test_what_two_nodes_saw_being_created_with_the_same_content_is_stored_once(database: Database) -> None:
    store = EventStore(database)
    seen = [found_with(b"one", at, "created", recovered=False) for at in (10, 11)]
    assert store.write(seen) == [True, False]
    assert store.write([found_with(b"two", 20, "created", recovered=False)]) == [True]


def test_the_same_content_is_a_version_after_a_deletion_and_where_it_was_seen_as_it_was_saved(
    database: Database,
) -> None:
    store = EventStore(database)
    store.write([found_with(b"one", 10, "created"), version_record(20, size=0, change="deleted")])
    assert store.write([found_with(b"one", 30, "created")]) == [True]
    assert store.write([found_with(b"one", 40, recovered=False)]) == [True]
    # Content that was left out has no hash to know it by.
    unknown = [found_by_catching_up(at, size=70_000, filename="big.c", change="modified") for at in (50, 60)]
    assert store.write(unknown) == [True, True]


def test_two_works_may_have_a_file_of_the_same_name(database: Database) -> None:
    other = WORK._replace(student_id=1)
    EventStore(database).write([version_record(10, change=None), version_record(20, change=None, work=other)])
    assert changes(database) == [(10, "created"), (20, "created")]
