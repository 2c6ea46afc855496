"""DELETE /api/v1/canaries/{student_id}: what a node's verification leaves behind."""

import logging

from fastapi import APIRouter, Request
from pydantic import BaseModel

from watcher_backend.names import CANARY_CLASS
from watcher_backend.problems import documented
from watcher_backend.routes.parameters import StudentId
from watcher_backend.services import services_of

_log = logging.getLogger(__name__)

router = APIRouter(tags=["agents"])


class Removal(BaseModel):
    """How many events and gaps were removed."""

    removed: int


@router.delete(
    "/api/v1/canaries/{student_id}",
    summary="Remove a canary's events",
    description=f"Removes every event and gap of this student in the class {CANARY_CLASS}, which is no real class:"
    " `watcher-agent verify` saves, builds and runs under it to prove that a node records. No other class's"
    " events can be removed, here or anywhere. Nothing to remove is no error.",
    responses=documented(),
)
async def remove_canary(request: Request, student_id: StudentId) -> Removal:
    """Remove a canary's events."""
    removed = await services_of(request).writer.remove_canary(student_id)
    _log.info("removed class=%s student=%d events=%d", CANARY_CLASS, student_id, removed)
    return Removal(removed=removed)
