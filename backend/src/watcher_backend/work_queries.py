"""Reading one student's work on one assignment: files, versions, builds and runs."""

import json
import shlex
from typing import Any, NamedTuple

from watcher_backend.storage.database import Database
from watcher_backend.storage.models import SourceFile, Version, Work
from watcher_backend.storage.records import WorkKey


class LogEntry(NamedTuple):
    """A build or a run. occurred_at in microseconds; file_size: bytes of the work's files at that moment."""

    occurred_at: int
    process_type: str | None
    binary_path: str
    cmdline: str
    cwd: str
    target_path: str
    exit_code: int
    file_size: int


def filenames(database: Database, work: WorkKey) -> list[str]:
    """Return the names of all files that the work ever had, sorted."""
    query = SourceFile.select(SourceFile.filename).join(Work).where(_is_work(work)).order_by(SourceFile.filename)
    return [name for (name,) in database.select(query)]


def version_times(database: Database, work: WorkKey, filename: str) -> list[int]:
    """Return when each version of a file was saved, oldest first, in microseconds since the epoch."""
    query = (
        Version.select(Version.occurred_at)
        .join(SourceFile)
        .join(Work)
        .where(_is_work(work) & (SourceFile.filename == filename))
        .order_by(Version.occurred_at)
    )
    return [micros for (micros,) in database.select(query)]


def log_entries(database: Database, work: WorkKey, kind: str) -> list[LogEntry]:
    """Return the work's builds or runs, newest first.

    The sizes of all entries come from one pass: each version changes the total by its size less its
    predecessor's, and an entry's total is the sum of the changes up to its moment. A version and an entry of
    the same microsecond count as saved first, then built.
    """
    p = database.param
    rows = database.execute(
        f"""
        WITH this_work AS (
            SELECT id FROM work WHERE class_div = {p} AND hw_name = {p} AND student_id = {p}
        ),
        growth AS (
            SELECT v.occurred_at,
                   v.size - lag(v.size, 1, 0) OVER (PARTITION BY v.file ORDER BY v.occurred_at, v.id) AS bytes
            FROM this_work
            JOIN source_file f ON f.work = this_work.id
            JOIN version v ON v.file = f.id
        ),
        moments AS (
            SELECT occurred_at, bytes, NULL AS process FROM growth
            UNION ALL
            SELECT p.occurred_at, 0, p.id FROM this_work
            JOIN process p ON p.work = this_work.id AND p.kind = {p}
        ),
        totals AS (
            -- PostgreSQL sums into numeric, which is no int here.
            SELECT process,
                   CAST(sum(bytes) OVER (ORDER BY occurred_at RANGE UNBOUNDED PRECEDING) AS bigint) AS file_size
            FROM moments
        )
        SELECT p.occurred_at, p.process_type, p.binary_path, p.argv, p.cmdline, p.cwd, p.target_path,
               p.exit_code, p.signal, totals.file_size
        FROM totals JOIN process p ON p.id = totals.process
        ORDER BY p.occurred_at DESC, p.id DESC
        """,
        (*work, kind),
    ).fetchall()
    return [
        LogEntry(
            occurred_at=occurred_at,
            process_type=process_type,
            binary_path=binary_path,
            cmdline=command_line(argv, cmdline),
            cwd=cwd,
            target_path=target_path,
            exit_code=shell_exit_code(exit_code, signal),
            file_size=file_size,
        )
        for (
            occurred_at, process_type, binary_path, argv, cmdline, cwd, target_path,
            exit_code, signal, file_size,
        ) in rows
    ]  # fmt: skip


def command_line(argv: str | None, cmdline: str | None) -> str:
    """Return a process's command line: as it was posted, or argv (JSON text) quoted for a shell."""
    return shlex.join(json.loads(argv)) if argv is not None else cmdline or ""


def shell_exit_code(exit_code: int | None, signal: int | None) -> int:
    """Return the one number that a shell would show: 128 + signal where one ended the process.

    0 where another program took its place: it did not end, let alone badly.
    """
    if exit_code is not None:
        return exit_code
    return 128 + signal if signal is not None else 0


def _is_work(work: WorkKey) -> Any:
    return (
        (Work.class_div == work.class_div) & (Work.hw_name == work.hw_name) & (Work.student_id == work.student_id)
    )
