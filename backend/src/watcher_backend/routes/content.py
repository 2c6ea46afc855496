"""GET /api/v1/events/{id}/content: what was in the file."""

import hashlib

from fastapi import APIRouter, Request
from starlette.responses import Response

from watcher_backend.event_queries import StoredEvent
from watcher_backend.problems import ProblemError, documented
from watcher_backend.routes.events import stored_event
from watcher_backend.routes.parameters import EventId
from watcher_backend.services import services_of
from watcher_backend.snapshot_volume import SnapshotMissingError, VolumeUnavailableError, read_snapshot

router = APIRouter(tags=["events"])


@router.get(
    "/api/v1/events/{id}/content",
    summary="Get a saved version's content",
    description="The bytes as they were saved. 404 where there are none (a build, a run, a deletion, a file"
    " over the size limit or one that the spool had no room for, a snapshot that is gone); 409 where the snapshot"
    " is not what was saved.",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **documented(404, 409)},
)
def get_content(request: Request, id: EventId) -> Response:
    """Return the content of a version, verified against the hash that was recorded when it was saved."""
    event = stored_event(request, id)
    path = _snapshot_path(event)
    try:
        content = read_snapshot(services_of(request).settings.snapshot_root, path)
    except SnapshotMissingError as error:
        raise ProblemError(404, f"the snapshot cannot be given: {error}") from error
    except VolumeUnavailableError as error:
        raise ProblemError(503, str(error), headers={"Retry-After": "30"}) from error
    recorded = event.sha256
    if len(content) != event.size or (recorded and hashlib.sha256(content).digest() != bytes(recorded)):
        raise ProblemError(409, "snapshot altered: it is no longer the content that was saved")
    return Response(
        content,
        media_type="application/octet-stream",
        # It is a student's text, never a page of ours, whatever it looks like.
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _snapshot_path(event: StoredEvent) -> str:
    if event.type != "snapshot":
        raise ProblemError(404, f"a {event.type} has no content")
    if event.change == "deleted":
        raise ProblemError(404, "the file was deleted: there is no content")
    if event.content_omitted is not None:
        raise ProblemError(404, f"the content was omitted: {event.content_omitted}")
    if event.snapshot_path is None:
        raise ProblemError(404, "the agent that reported this version did not say where its content is")
    return event.snapshot_path
