"""Reading how large one student's work on one assignment was, and when."""

from typing import NamedTuple

from watcher_backend.clock import MICROS_A_SECOND, whole_second
from watcher_backend.storage.database import Database
from watcher_backend.storage.records import WorkKey


class VersionSizes(NamedTuple):
    """Number of versions, and the mean of their sizes in bytes, rounded to 2 decimals."""

    versions: int
    mean_size: float


class WorkSizes(NamedTuple):
    """As VersionSizes, with the times of the first, the last and the last but one version.

    Times are microseconds since the epoch; before_last is that of the last where there is but one.
    """

    versions: int
    mean_size: float
    first: int
    last: int
    before_last: int


class Trend(NamedTuple):
    """The state at the end of an interval: its begin in microseconds since the epoch, bytes of all files."""

    begin: int
    total_size: int


def file_sizes(database: Database, work: WorkKey, filename: str) -> VersionSizes | None:
    """Return the figures of one file, None where it has no version."""
    p = database.param
    row = database.execute(
        f"""
        SELECT count(*), CAST(sum(v.size) AS bigint)
        FROM work w JOIN source_file f ON f.work = w.id AND f.filename = {p} JOIN version v ON v.file = f.id
        WHERE w.class_div = {p} AND w.hw_name = {p} AND w.student_id = {p}
        """,
        (filename, *work),
    ).fetchone()
    assert row is not None
    versions, total = row
    return VersionSizes(versions, round(total / versions, 2)) if versions else None


def work_sizes(database: Database, work: WorkKey) -> WorkSizes | None:
    """Return the figures of all files of a work, None where it has no version."""
    p = database.param
    versions = f"""
        FROM work w JOIN source_file f ON f.work = w.id JOIN version v ON v.file = f.id
        WHERE w.class_div = {p} AND w.hw_name = {p} AND w.student_id = {p}
        """
    row = database.execute(
        f"SELECT count(*), CAST(sum(v.size) AS bigint), min(v.occurred_at) {versions}", tuple(work)
    ).fetchone()
    assert row is not None
    number, total, first = row
    if not number:
        return None
    latest = database.execute(
        f"SELECT v.occurred_at {versions} ORDER BY v.occurred_at DESC LIMIT 2", tuple(work)
    ).fetchall()
    return WorkSizes(number, round(total / number, 2), first, latest[0][0], latest[-1][0])


def trends(database: Database, work: WorkKey, minutes: int) -> list[Trend]:
    """Return the work's size at the end of each interval in which a version was saved, oldest first.

    minutes: length of the intervals, which are counted from the first version's second on.
    """
    p = database.param
    rows = database.execute(
        f"""
        SELECT v.occurred_at,
               v.size - lag(v.size, 1, 0) OVER (PARTITION BY v.file ORDER BY v.occurred_at, v.id) AS bytes
        FROM work w JOIN source_file f ON f.work = w.id JOIN version v ON v.file = f.id
        WHERE w.class_div = {p} AND w.hw_name = {p} AND w.student_id = {p}
        ORDER BY v.occurred_at
        """,
        tuple(work),
    ).fetchall()
    if not rows:
        return []
    first = whole_second(rows[0][0])
    interval = minutes * 60 * MICROS_A_SECOND
    totals: dict[int, int] = {}
    total = 0
    for occurred_at, grown in rows:
        total += grown
        totals[(occurred_at - first) // interval] = total
    return [Trend(first + number * interval, size) for number, size in totals.items()]
