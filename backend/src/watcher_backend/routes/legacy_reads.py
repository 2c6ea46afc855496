"""The list and log GET endpoints of the system in use before, as the front end calls them."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from watcher_backend import work_queries
from watcher_backend.clock import format_compact_local, format_naive_local
from watcher_backend.problems import documented
from watcher_backend.routes.parameters import Filename, WorkOf
from watcher_backend.services import services_of
from watcher_backend.storage.records import WorkKey

router = APIRouter(tags=["front end"])

_RESPONSES = documented()


class BuildLog(BaseModel):
    """A build. timestamp: local time of the site; file_size: bytes of the assignment's code at that moment."""

    binary_path: str
    cmdline: str
    exit_code: int
    cwd: str
    target_path: str
    timestamp: str
    file_size: int


class RunLog(BaseModel):
    """A run. timestamp: local time of the site; file_size: bytes of the assignment's code at that moment."""

    cmdline: str
    exit_code: int
    cwd: str
    target_path: str
    process_type: str
    timestamp: str
    file_size: int


@router.get(
    "/api/{class_div}/{hw_name}/{student_id}/logs/build",
    summary="List a student's builds, newest first",
    responses=_RESPONSES,
)
def list_builds(request: Request, work: WorkOf) -> list[BuildLog]:
    """Return all builds of a student's assignment; none is an empty list."""
    return [
        BuildLog(
            binary_path=entry.binary_path,
            cmdline=entry.cmdline,
            exit_code=entry.exit_code,
            cwd=entry.cwd,
            target_path=entry.target_path,
            timestamp=format_naive_local(entry.occurred_at, services_of(request).settings.timezone),
            file_size=entry.file_size,
        )
        for entry in _entries(request, work, "build")
    ]


@router.get(
    "/api/{class_div}/{hw_name}/{student_id}/logs/run",
    summary="List a student's runs, newest first",
    responses=_RESPONSES,
)
def list_runs(request: Request, work: WorkOf) -> list[RunLog]:
    """Return all runs of a student's assignment; none is an empty list."""
    return [
        RunLog(
            cmdline=entry.cmdline,
            exit_code=entry.exit_code,
            cwd=entry.cwd,
            target_path=entry.target_path,
            process_type=entry.process_type or "",
            timestamp=format_naive_local(entry.occurred_at, services_of(request).settings.timezone),
            file_size=entry.file_size,
        )
        for entry in _entries(request, work, "run")
    ]


@router.get(
    "/api/{class_div}/{hw_name}/{student_id}",
    summary="List the files of a student's assignment",
    responses=_RESPONSES,
)
def list_files(request: Request, work: WorkOf) -> list[str]:
    """Return the names of all files that were ever saved; none is an empty list."""
    database = services_of(request).database
    with database.connection():
        return work_queries.filenames(database, work)


@router.get(
    "/api/{class_div}/{hw_name}/{student_id}/{filename}",
    summary="List when a file was saved",
    responses=_RESPONSES,
)
def list_versions(request: Request, work: WorkOf, filename: Filename) -> list[str]:
    """Return the time of each version, YYYYmmdd_HHMMSS in the site's zone, oldest first."""
    services = services_of(request)
    with services.database.connection():
        times = work_queries.version_times(services.database, work, filename)
    return [format_compact_local(micros, services.settings.timezone) for micros in times]


def _entries(request: Request, work: WorkKey, kind: Literal["build", "run"]) -> list[work_queries.LogEntry]:
    database = services_of(request).database
    with database.connection():
        return work_queries.log_entries(database, work, kind)
