"""The POST endpoints of the system in use before, as its agents and the notebook hook call them."""

import logging
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from watcher_backend.clock import now_micros
from watcher_backend.legacy import BuildPost, RunPost, SnapshotPost, process_record, snapshot_record
from watcher_backend.problems import documented
from watcher_backend.routes.bodies import documented_body, read_body
from watcher_backend.routes.parameters import Filename, WorkOf
from watcher_backend.services import services_of
from watcher_backend.storage.records import EventRecord

_log = logging.getLogger(__name__)

router = APIRouter(tags=["present agents"])

_RESPONSES = documented(413, 415, 429)


class Message(BaseModel):
    """A posted event was stored, now or by an earlier try."""

    message: str


@router.post(
    "/api/{class_div}/{hw_name}/{student_id}/logs/build",
    summary="Register a build",
    response_model=Message,
    responses=_RESPONSES,
    openapi_extra=documented_body(BuildPost),
)
async def register_build(request: Request, work: WorkOf) -> Response:
    """Store a build that ended."""
    post = await read_body(request, BuildPost)
    record = process_record("build", work, post, services_of(request).settings.timezone, now_micros())
    return await _store(request, record, "Build log", post.binary_path)


@router.post(
    "/api/{class_div}/{hw_name}/{student_id}/logs/run",
    summary="Register a run",
    response_model=Message,
    responses=_RESPONSES,
    openapi_extra=documented_body(RunPost),
)
async def register_run(request: Request, work: WorkOf) -> Response:
    """Store a run that ended."""
    post = await read_body(request, RunPost)
    record = process_record("run", work, post, services_of(request).settings.timezone, now_micros())
    return await _store(request, record, "Run log", post.target_path)


@router.post(
    "/api/{class_div}/{hw_name}/{student_id}/{filename}/{timestamp}",
    summary="Register a snapshot",
    description="bytes 0 stands for a deletion.",
    response_model=Message,
    responses=_RESPONSES,
    openapi_extra=documented_body(SnapshotPost),
)
async def register_snapshot(
    request: Request,
    work: WorkOf,
    filename: Filename,
    timestamp: Annotated[
        str,
        Path(description="UTC, YYYYmmdd_HHMMSS; what follows the first dot is ignored.", max_length=255),
    ],
) -> Response:
    """Store a saved version."""
    post = await read_body(request, SnapshotPost)
    record = snapshot_record(work, filename, timestamp, post, now_micros())
    return await _store(request, record, "Snapshot", filename)


async def _store(request: Request, record: EventRecord, what: str, name: str) -> Response:
    services = services_of(request)
    [is_new] = await services.writer.store([record])
    outcome = "stored" if is_new else "duplicate"
    services.metrics.count_events(record.type, outcome)
    _log.info(
        "%s class=%s hw=%s student=%d type=%s name=%s",
        outcome,
        record.work.class_div,
        record.work.hw_name,
        record.work.student_id,
        record.type,
        name,
    )
    return JSONResponse({"message": f"{what} registered successfully"})
