"""GET /api/v1/events: every stored event, to page through and to follow."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from watcher_backend import event_queries
from watcher_backend.clock import format_instant
from watcher_backend.cursors import CursorOf, encode_cursor
from watcher_backend.problems import ProblemError, documented
from watcher_backend.routes.parameters import After, EventId, NameFilter, PageLimit, StudentFilter, row_after
from watcher_backend.services import services_of
from watcher_backend.work_queries import command_line

router = APIRouter(tags=["events"])


class _EventView(BaseModel):
    """What every event has. Null agent, node, release, boot_id, sequence: posted by a present-day agent."""

    id: str
    occurred_at: str
    received_at: str
    class_div: str
    hw_name: str
    student_id: int
    agent: str | None
    node: str | None
    release: str | None
    boot_id: str | None
    sequence: int | None


class SnapshotView(_EventView):
    """A saved version of a file, or its deletion. size in bytes."""

    type: Literal["snapshot"]
    filename: str
    change: Literal["created", "modified", "deleted"]
    size: int
    sha256: str | None
    snapshot_path: str | None
    content_omitted: str | None
    recovered: bool


class ProcessView(_EventView):
    """A build or a run. argv is null where only a command line was posted."""

    type: Literal["build", "run"]
    hostname: str | None
    pid: int | None
    started_at: str | None
    process_type: str | None
    binary_path: str
    argv: list[str] | None
    cmdline: str
    argv_truncated: bool
    cwd: str
    target_path: str
    exit_code: int | None
    signal: int | None
    core_dumped: bool
    replaced_by_exec: bool
    already_running: bool
    hostname_forged: bool


class EventList(BaseModel):
    """A page of events in order of arrival. next: the cursor to ask with for what arrived after them."""

    events: list[SnapshotView | ProcessView]
    next: str


@router.get(
    "/api/v1/events",
    summary="List or follow events",
    description="Events in order of arrival. `next` is never null: asked with `after=<next>` it gives what"
    " arrived since, so a client that keeps asking follows everything, missing nothing and seeing nothing"
    " twice. A page with fewer events than `limit` is the last for now.",
    responses=documented(),
)
def list_events(
    request: Request,
    class_div: NameFilter = None,
    hw_name: NameFilter = None,
    student_id: StudentFilter = None,
    type: Annotated[Literal["snapshot", "build", "run"] | None, Query()] = None,
    after: After = None,
    limit: PageLimit = 100,
) -> EventList:
    """Return one page of events."""
    database = services_of(request).database
    after_row = row_after(CursorOf.EVENTS, after)
    with database.connection():
        wanted = event_queries.EventFilter(class_div, hw_name, student_id, type)
        page = event_queries.events_page(database, wanted, after_row, limit)
    return EventList(
        events=[_view(event) for event in page.events], next=encode_cursor(CursorOf.EVENTS, page.next_row)
    )


@router.get("/api/v1/events/{id}", summary="Get one event", responses=documented(404))
def get_event(request: Request, id: EventId) -> SnapshotView | ProcessView:
    """Return the event with this id."""
    return _view(stored_event(request, id))


def stored_event(request: Request, event_id: str) -> event_queries.StoredEvent:
    """Return the event with this id (hexadecimal). Raises ProblemError (404)."""
    database = services_of(request).database
    with database.connection():
        event = event_queries.event_by_id(database, bytes.fromhex(event_id))
    if event is None:
        raise ProblemError(404, f"there is no event {event_id}")
    return event


def _view(event: event_queries.StoredEvent) -> SnapshotView | ProcessView:
    fields: dict[str, Any] = event._asdict()
    fields["id"] = event.event_id.hex()
    for name in ("occurred_at", "received_at", "started_at"):
        if fields[name] is not None:
            fields[name] = format_instant(fields[name])
    if event.type == "snapshot":
        fields["sha256"] = None if event.sha256 is None else bytes(event.sha256).hex()
        return SnapshotView.model_validate(fields)
    fields["cmdline"] = command_line(event.argv, event.cmdline)
    fields["argv"] = None if event.argv is None else json.loads(event.argv)
    return ProcessView.model_validate(fields)
