"""The figures that the front end of the system in use before asks for: of an assignment, and of one student."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from watcher_backend import assignment_queries, size_queries
from watcher_backend.clock import (
    MICROS_A_SECOND,
    format_compact_local,
    format_naive_local,
    to_micros,
    whole_second,
)
from watcher_backend.problems import ProblemError, documented, invalid_field
from watcher_backend.routes.parameters import ClassDiv, Filename, HwName, WorkOf
from watcher_backend.services import services_of

router = APIRouter(tags=["front end"])

_RESPONSES = documented()

_Moment = Annotated[
    datetime, Path(description="ISO 8601, to the second; without an offset it is local time of the site.")
]


class ActiveStudent(BaseModel):
    """Who saved last: YYYYmmdd_HHMMSS in the site's zone, and the bytes of what was saved then."""

    student_num: int
    timestamp: str
    code_size: int


class AssignmentSummary(BaseModel):
    """Sizes in bytes of all versions of an assignment. Nulls and an empty list: there is no version."""

    percentile_90: float | None
    percentile_50: float | None
    avg_bytes: float | None
    avg_num: float | None
    top_7: list[ActiveStudent]


class StudentChange(BaseModel):
    """Bytes by which a student's files grew and shrank, from version to version."""

    student_num: int
    size_change: int


class StudentChanges(BaseModel):
    """All students that saved in the time asked for."""

    results: list[StudentChange]


class AverageCount(BaseModel):
    """Builds or runs for each student that has any; 0.0 where nobody has."""

    avg_count: float


class FileSummary(BaseModel):
    """snapshot_avg: number of versions (the name is an old one); snapshot_size_avg: mean of their bytes."""

    snapshot_avg: int | None
    snapshot_size_avg: float | None


class WorkSummary(FileSummary):
    """first, last: ISO 8601 local time; total, interval: seconds from first to last, and between the last two."""

    first: str | None
    last: str | None
    total: float | None
    interval: float | None


class TrendPoint(BaseModel):
    """An interval's begin, YYYYmmdd_HHMM in the site's zone; bytes at its end, and since the one before."""

    timestamp: str
    total_size: int
    size_change: int


class Trends(BaseModel):
    """The intervals in which something was saved, oldest first."""

    trends: list[TrendPoint]


@router.get(
    "/api/assignment/{class_div}/{hw_name}",
    summary="Summarise an assignment's snapshots",
    responses=_RESPONSES,
)
def summarise_assignment(request: Request, class_div: ClassDiv, hw_name: HwName) -> AssignmentSummary:
    """Return percentiles, means and who saved last."""
    services = services_of(request)
    with services.database.connection():
        sizes = assignment_queries.assignment_sizes(services.database, class_div, hw_name)
    if sizes is None:
        return AssignmentSummary(percentile_90=None, percentile_50=None, avg_bytes=None, avg_num=None, top_7=[])
    return AssignmentSummary(
        percentile_90=sizes.percentile_90,
        percentile_50=sizes.percentile_50,
        avg_bytes=sizes.mean_size,
        avg_num=sizes.versions_a_student,
        top_7=[
            ActiveStudent(
                student_num=student.student_id,
                timestamp=format_compact_local(student.occurred_at, services.settings.timezone),
                code_size=student.size,
            )
            for student in sizes.recent
        ],
    )


@router.get(
    "/api/total_graph_data/{class_div}/{hw_name}/{start}/{end}",
    summary="Sum up each student's changes in a time",
    description="Of the versions from `start` to `end`, both seconds included.",
    responses=_RESPONSES,
)
def sum_changes(
    request: Request, class_div: ClassDiv, hw_name: HwName, start: _Moment, end: _Moment
) -> StudentChanges:
    """Return by how many bytes each student's files changed; nobody saved: an empty list."""
    database = services_of(request).database
    begin = _second(request, "start", start)
    behind = _second(request, "end", end) + MICROS_A_SECOND
    with database.connection():
        changes = assignment_queries.size_changes(database, class_div, hw_name, begin, behind)
    return StudentChanges(
        results=[StudentChange(student_num=student, size_change=changed) for student, changed in changes]
    )


@router.get(
    "/api/build_avg/{class_div}/{hw_name}", summary="Count an assignment's builds a student", responses=_RESPONSES
)
def average_builds(request: Request, class_div: ClassDiv, hw_name: HwName) -> AverageCount:
    """Return how many builds a student that has any has."""
    return _average(request, class_div, hw_name, "build")


@router.get(
    "/api/run_avg/{class_div}/{hw_name}", summary="Count an assignment's runs a student", responses=_RESPONSES
)
def average_runs(request: Request, class_div: ClassDiv, hw_name: HwName) -> AverageCount:
    """Return how many runs a student that has any has."""
    return _average(request, class_div, hw_name, "run")


@router.get(
    "/api/snapshot_avg/{class_div}/{hw_name}/{student_id}/{filename}",
    summary="Summarise a file's snapshots",
    responses=_RESPONSES,
)
def summarise_file(request: Request, work: WorkOf, filename: Filename) -> FileSummary:
    """Return how many versions a file has, and how large they are; without any, nulls."""
    database = services_of(request).database
    with database.connection():
        sizes = size_queries.file_sizes(database, work, filename)
    if sizes is None:
        return FileSummary(snapshot_avg=None, snapshot_size_avg=None)
    return FileSummary(snapshot_avg=sizes.versions, snapshot_size_avg=sizes.mean_size)


@router.get(
    "/api/assignments/snapshot_avg/{class_div}/{hw_name}/{student_id}",
    summary="Summarise a student's snapshots of an assignment",
    responses=_RESPONSES,
)
def summarise_work(request: Request, work: WorkOf) -> WorkSummary:
    """Return how many versions there are, how large, and from when to when; without any, nulls."""
    services = services_of(request)
    with services.database.connection():
        sizes = size_queries.work_sizes(services.database, work)
    if sizes is None:
        return WorkSummary(
            snapshot_avg=None, snapshot_size_avg=None, first=None, last=None, total=None, interval=None
        )
    first, last, before_last = map(whole_second, (sizes.first, sizes.last, sizes.before_last))
    zone = services.settings.timezone
    return WorkSummary(
        snapshot_avg=sizes.versions,
        snapshot_size_avg=sizes.mean_size,
        first=format_naive_local(first, zone),
        last=format_naive_local(last, zone),
        total=(last - first) / MICROS_A_SECOND,
        interval=(last - before_last) / MICROS_A_SECOND,
    )


@router.get(
    "/api/graph_data/{class_div}/{hw_name}/{student_id}/{interval}",
    summary="Follow how a student's code grew",
    responses=documented(400),
)
def follow_growth(
    request: Request,
    work: WorkOf,
    interval: Annotated[int, Path(description="Minutes, counted from the first snapshot on; 1 or more.")],
) -> Trends:
    """Return the total size at the end of each interval in which something was saved."""
    if interval <= 0:
        raise ProblemError(400, f"interval is {interval}: expected a number of minutes, 1 or more")
    services = services_of(request)
    with services.database.connection():
        found = size_queries.trends(services.database, work, interval)
    points: list[TrendPoint] = []
    for trend in found:
        former = points[-1].total_size if points else 0
        points.append(
            TrendPoint(
                timestamp=format_compact_local(trend.begin, services.settings.timezone)[: len("YYYYmmdd_HHMM")],
                total_size=trend.total_size,
                size_change=trend.total_size - former,
            )
        )
    return Trends(trends=points)


def _average(request: Request, class_div: str, hw_name: str, kind: str) -> AverageCount:
    database = services_of(request).database
    with database.connection():
        return AverageCount(avg_count=assignment_queries.logs_a_student(database, class_div, hw_name, kind))


def _second(request: Request, field: str, moment: datetime) -> int:
    try:
        return whole_second(to_micros(moment, services_of(request).settings.timezone))
    except ValueError as error:
        raise invalid_field(field, moment.isoformat(), str(error)) from None
