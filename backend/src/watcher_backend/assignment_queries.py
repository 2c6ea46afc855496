"""Reading all students' work on one assignment, as the front end of the system in use before shows it."""

from collections.abc import Sequence
from typing import NamedTuple

from watcher_backend.storage.database import Database

_RECENT_STUDENTS = 7


class RecentStudent(NamedTuple):
    """Who saved last. occurred_at in microseconds since the epoch; size in bytes, of the version saved then."""

    student_id: int
    occurred_at: int
    size: int


class AssignmentSizes(NamedTuple):
    """How large, and how many, an assignment's versions are. Sizes in bytes, rounded to 2 decimals.

    percentile_90, percentile_50: of the sizes of all versions, deletions with their 0 bytes among them, linearly
    interpolated between the two nearest (R's type 7, what numpy.percentile does). mean_size: the mean of the
    students' own means, which are rounded first. versions_a_student: over the students that have any.
    """

    percentile_90: float
    percentile_50: float
    mean_size: float
    versions_a_student: float
    recent: list[RecentStudent]


def assignment_sizes(database: Database, class_div: str, hw_name: str) -> AssignmentSizes | None:
    """Return the figures of an assignment, None where it has no version."""
    p = database.param
    students = database.execute(
        f"""
        SELECT count(*), CAST(sum(v.size) AS bigint)
        FROM work w JOIN source_file f ON f.work = w.id JOIN version v ON v.file = f.id
        WHERE w.class_div = {p} AND w.hw_name = {p}
        GROUP BY w.id
        """,
        (class_div, hw_name),
    ).fetchall()
    if not students:
        return None
    # No more rows than there are sizes, which the agents bound; not one for each version.
    sizes = database.execute(
        f"""
        SELECT v.size, count(*)
        FROM work w JOIN source_file f ON f.work = w.id JOIN version v ON v.file = f.id
        WHERE w.class_div = {p} AND w.hw_name = {p}
        GROUP BY v.size ORDER BY v.size
        """,
        (class_div, hw_name),
    ).fetchall()
    means = [round(total / versions, 2) for versions, total in students]
    return AssignmentSizes(
        percentile_90=round(percentile(sizes, 90), 2),
        percentile_50=round(percentile(sizes, 50), 2),
        mean_size=round(sum(means) / len(means), 2),
        versions_a_student=round(sum(versions for versions, _ in students) / len(students), 2),
        recent=_recent_students(database, class_div, hw_name),
    )


def percentile(counted: Sequence[tuple[int, ...]], percent: int) -> float:
    """Return a percentile of values given as (value, how often) in ascending order, linearly interpolated.

    Of n values in order, counted from 0, it stands at place (n - 1) * percent / 100: Hyndman and Fan, Sample
    Quantiles in Statistical Packages (1996), definition 7.
    """
    last = sum(number for _, number in counted) - 1
    below, rest = divmod(last * percent, 100)
    lower = _at(counted, below)
    return lower if rest == 0 else lower + (_at(counted, below + 1) - lower) * rest / 100


def _at(counted: Sequence[tuple[int, ...]], place: int) -> int:
    passed = 0
    for value, number in counted:
        passed += number
        if place < passed:
            return value
    raise IndexError(f"there are {passed} values, none at place {place}")


def _recent_students(database: Database, class_div: str, hw_name: str) -> list[RecentStudent]:
    """Those who saved last, the newest first; of each file only the newest version is looked at."""
    p = database.param
    rows = database.execute(
        f"""
        SELECT v.occurred_at, v.id, w.student_id, v.size
        FROM work w JOIN source_file f ON f.work = w.id JOIN version v ON v.id = (
            SELECT id FROM version WHERE file = f.id ORDER BY occurred_at DESC, id DESC LIMIT 1
        )
        WHERE w.class_div = {p} AND w.hw_name = {p}
        """,
        (class_div, hw_name),
    ).fetchall()
    latest: dict[int, RecentStudent] = {}
    for occurred_at, _, student_id, size in sorted(rows):
        latest[student_id] = RecentStudent(student_id, occurred_at, size)
    return sorted(latest.values(), key=lambda student: (-student.occurred_at, student.student_id))[
        :_RECENT_STUDENTS
    ]


def size_changes(database: Database, class_div: str, hw_name: str, begin: int, end: int) -> list[tuple[int, int]]:
    """Return (student_id, bytes) of all who saved from ``begin`` up to but not at ``end``, by student.

    bytes: the sum of the absolute differences between consecutive versions of each file, both in that time: the
    first version in it counts nothing. begin, end: microseconds since the epoch.
    """
    p = database.param
    rows = database.execute(
        f"""
        SELECT student_id, CAST(coalesce(sum(bytes), 0) AS bigint) FROM (
            SELECT w.student_id,
                   abs(v.size - lag(v.size) OVER (PARTITION BY v.file ORDER BY v.occurred_at, v.id)) AS bytes
            FROM work w JOIN source_file f ON f.work = w.id JOIN version v ON v.file = f.id
            WHERE w.class_div = {p} AND w.hw_name = {p} AND v.occurred_at >= {p} AND v.occurred_at < {p}
        ) changes
        GROUP BY student_id ORDER BY student_id
        """,
        (class_div, hw_name, begin, end),
    ).fetchall()
    return [(student_id, changed) for student_id, changed in rows]


def logs_a_student(database: Database, class_div: str, hw_name: str, kind: str) -> float:
    """Return the mean number of builds, or runs, of those students that have any: 2 decimals, 0.0 if none."""
    p = database.param
    row = database.execute(
        f"""
        SELECT count(*), count(DISTINCT p.work)
        FROM work w JOIN process p ON p.work = w.id AND p.kind = {p}
        WHERE w.class_div = {p} AND w.hw_name = {p}
        """,
        (kind, class_div, hw_name),
    ).fetchone()
    assert row is not None
    logs, students = row
    return round(logs / students, 2) if students else 0.0
