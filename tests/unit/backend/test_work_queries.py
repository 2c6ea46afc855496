"""One work's files, versions and logs."""

from unit.backend.samples import WORK, process_record, version_record
from watcher_backend import work_queries
from watcher_backend.storage.database import Database
from watcher_backend.storage.event_store import EventStore


def test_files_and_versions_are_listed_for_that_work_only(database: Database) -> None:
    other = WORK._replace(hw_name="hw2")
    EventStore(database).write(
        [
            version_record(30, "b.c"),
            version_record(10, "a.c"),
            version_record(20, "a.c", size=0, change="deleted"),
            version_record(40, "z.c", work=other),
        ]
    )
    assert work_queries.filenames(database, WORK) == ["a.c", "b.c"]
    assert work_queries.version_times(database, WORK, "a.c") == [10, 20]
    assert work_queries.version_times(database, WORK, "z.c") == []
    assert work_queries.filenames(database, WORK._replace(student_id=7)) == []


def test_file_size_is_the_size_of_all_code_at_that_moment(database: Database) -> None:
    """Versions: a.c 10 bytes at 10, 30 at 30, deleted at 50; b.c 5 bytes at 20.

    By hand: at 5 nothing (0), at 10 a.c (10), at 25 a.c + b.c (15), at 30 grown a.c (35), at 60 b.c alone (5).
    """
    records = [
        version_record(30, "a.c", 30),
        version_record(10, "a.c", 10, "created"),
        version_record(50, "a.c", 0, "deleted"),
        version_record(20, "b.c", 5),
        version_record(20, "c.c", 999, work=WORK._replace(student_id=1)),
        *(process_record(at) for at in (60, 5, 10, 25, 30)),
        process_record(25, "run"),
    ]
    EventStore(database).write(records)
    entries = work_queries.log_entries(database, WORK, "build")
    assert [(entry.occurred_at, entry.file_size) for entry in entries] == [
        (60, 5), (30, 35), (25, 15), (10, 10), (5, 0),
    ]  # fmt: skip
    assert [entry.file_size for entry in work_queries.log_entries(database, WORK, "run")] == [15]
    assert work_queries.log_entries(database, WORK._replace(student_id=7), "run") == []


def test_an_entry_shows_one_command_line_and_one_exit_code(database: Database) -> None:
    EventStore(database).write(
        [
            process_record(1, exit_code=3),
            process_record(2, exit_code=None, signal=11),
            process_record(3, exit_code=None, replaced_by_exec=True),
            process_record(4, argv=None, cmdline="gcc  x.c", exit_code=-1),
        ]
    )
    entries = work_queries.log_entries(database, WORK, "build")
    assert [(entry.exit_code, entry.cmdline) for entry in entries] == [
        (-1, "gcc  x.c"), (0, "gcc 'my file.c'"), (139, "gcc 'my file.c'"), (3, "gcc 'my file.c'"),
    ]  # fmt: skip
