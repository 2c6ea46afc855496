"""The POST endpoints of the system in use before, as its agents and the notebook hook call them."""

import logging

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from watcher_backend.clock import now_micros
from watcher_backend.legacy import BuildPost, RunPost, SnapshotPost, process_record, snapshot_record
from watcher_backend.names import check_filename
from watcher_backend.problems import documented
from watcher_backend.routes.ingest_requests import (
    IngestRoute,
    documented_request,
    path_value,
    read_body,
    work_of,
)
from watcher_backend.services import services_of
from watcher_backend.storage.records import EventRecord

_log = logging.getLogger(__name__)

router = APIRouter(tags=["present agents"], route_class=IngestRoute)

_RESPONSES = documented(413, 415, 429)
_WORK = {
    "class_div": "Subject and division, like os-1.",
    "hw_name": "Assignment, like hw1; the notebook hook sends unknown where it cannot tell.",
    "student_id": "Student number, 1 to 18 digits.",
}


class Message(BaseModel):
    """A posted event was stored, now or by an earlier try."""

    message: str


@router.post(
    "/api/{class_div}/{hw_name}/{student_id}/logs/build",
    summary="Register a build",
    response_model=Message,
    responses=_RESPONSES,
    openapi_extra=documented_request(BuildPost, **_WORK),
)
async def register_build(request: Request) -> Response:
    """Store a build that ended."""
    work = work_of(request)
    post = await read_body(request, BuildPost)
    record = process_record("build", work, post, services_of(request).settings.timezone, now_micros())
    return await _store(request, record, b"Build log", post.binary_path)


@router.post(
    "/api/{class_div}/{hw_name}/{student_id}/logs/run",
    summary="Register a run",
    response_model=Message,
    responses=_RESPONSES,
    openapi_extra=documented_request(RunPost, **_WORK),
)
async def register_run(request: Request) -> Response:
    """Store a run that ended."""
    work = work_of(request)
    post = await read_body(request, RunPost)
    record = process_record("run", work, post, services_of(request).settings.timezone, now_micros())
    return await _store(request, record, b"Run log", post.target_path)


@router.post(
    "/api/{class_div}/{hw_name}/{student_id}/{filename}/{timestamp}",
    summary="Register a snapshot",
    description="bytes 0 stands for a deletion.",
    response_model=Message,
    responses=_RESPONSES,
    openapi_extra=documented_request(
        SnapshotPost,
        **_WORK,
        filename="Path below the assignment, directories joined with @, like src@hello.c.",
        timestamp="UTC, YYYYmmdd_HHMMSS; what follows the first dot is ignored.",
    ),
)
async def register_snapshot(request: Request) -> Response:
    """Store a saved version."""
    work = work_of(request)
    filename = path_value(request, "filename", check_filename)
    post = await read_body(request, SnapshotPost)
    record = snapshot_record(work, filename, request.path_params["timestamp"], post, now_micros())
    return await _store(request, record, b"Snapshot", filename)


async def _store(request: Request, record: EventRecord, what: bytes, name: str) -> Response:
    services = services_of(request)
    [is_new] = await services.writer.store([record])
    outcome = "stored" if is_new else "duplicate"
    services.metrics.count_events(record.type, outcome)
    # A snapshot's access line names class, assignment, student and file already; a second would say no more.
    level = logging.DEBUG if is_new and record.type == "snapshot" else logging.INFO
    _log.log(
        level,
        "%s class=%s hw=%s student=%d type=%s name=%s",
        outcome,
        *record.work,
        record.type,
        name,
    )
    return Response(b'{"message":"%s registered successfully"}' % what, media_type="application/json")
