"""GET /api/v1/gaps: what was, or may have been, not recorded, to page through and to follow."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from watcher_backend import gap_queries
from watcher_backend.clock import format_instant
from watcher_backend.cursors import CursorOf, encode_cursor
from watcher_backend.events import GapCause, Instant
from watcher_backend.problems import ProblemError, documented, invalid_field
from watcher_backend.routes.parameters import After, EventId, NameFilter, PageLimit, StudentFilter, row_after
from watcher_backend.services import services_of

router = APIRouter(tags=["gaps"])


class GapView(BaseModel):
    """A time, from started_at to occurred_at, in which work was, or may have been, not recorded.

    Null class_div and student_id: all work on the node. Null started_at: not known since when. Null files_seen,
    files_recovered, events_lost: not compared, not to be counted.
    """

    id: str
    type: Literal["gap"]
    occurred_at: str
    started_at: str | None
    received_at: str
    class_div: str | None
    student_id: int | None
    cause: str
    files_seen: int | None
    files_recovered: int | None
    events_lost: int | None
    detail: str | None
    agent: str
    node: str
    release: str
    boot_id: str
    sequence: int


class GapList(BaseModel):
    """A page of gaps in order of arrival. next: the cursor to ask with for what arrived after them."""

    gaps: list[GapView]
    next: str


@router.get(
    "/api/v1/gaps",
    summary="List or follow gaps",
    description="What was, or may have been, not recorded: gaps that an agent declared, in order of arrival."
    " A gap concerns one student, or everybody whose work was on its node (null `class_div` and `student_id`)."
    "\n\n`class_div` and `student_id` find the gaps that name them. To learn what may be missing of a student's"
    " data, add `concerning_student=true`: the gaps of whole nodes come with them, those of all nodes, since"
    " where a student's work was is known from events alone, and just these may be missing. Where you know the"
    " node, say it with `node`."
    "\n\n`from` and `to` find the gaps that overlap this time, both instants included; one whose beginning is"
    " not known began before everything."
    "\n\n`next` is never null: asked with `after=<next>` it gives what arrived since. A page with fewer gaps than"
    " `limit` is the last for now.",
    responses=documented(),
)
def list_gaps(
    request: Request,
    node: Annotated[str | None, Query(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]+$")] = None,
    agent: Annotated[Literal["filemon", "procmon"] | None, Query()] = None,
    cause: Annotated[GapCause | None, Query()] = None,
    class_div: NameFilter = None,
    student_id: StudentFilter = None,
    concerning_student: Annotated[
        bool, Query(description="With student_id: the gaps of whole nodes, too.")
    ] = False,
    node_wide: Annotated[
        bool | None,
        Query(description="true: only the gaps of whole nodes; false: only those that name a student."),
    ] = None,
    since: Annotated[
        Instant | None,
        Query(alias="from", description="UTC with microseconds, like 2025-07-30T06:17:53.417000Z."),
    ] = None,
    until: Annotated[
        Instant | None,
        Query(alias="to", description="UTC with microseconds, like 2025-07-30T06:17:53.417000Z."),
    ] = None,
    after: After = None,
    limit: PageLimit = 100,
) -> GapList:
    """Return one page of gaps."""
    after_row = row_after(CursorOf.GAPS, after)
    wanted = gap_queries.GapFilter(
        node, agent, cause, class_div, student_id, since, until, node_wide, concerning_student
    )
    _refuse_contradictions(wanted)
    database = services_of(request).database
    with database.connection():
        page = gap_queries.gaps_page(database, wanted, after_row, limit)
    return GapList(gaps=[_view(gap) for gap in page.gaps], next=encode_cursor(CursorOf.GAPS, page.next_row))


@router.get("/api/v1/gaps/{id}", summary="Get one gap", responses=documented(404))
def get_gap(request: Request, id: EventId) -> GapView:
    """Return the gap with this id."""
    database = services_of(request).database
    with database.connection():
        gap = gap_queries.gap_by_id(database, bytes.fromhex(id))
    if gap is None:
        raise ProblemError(404, f"there is no gap {id}")
    return _view(gap)


def _refuse_contradictions(wanted: gap_queries.GapFilter) -> None:
    """Raise ProblemError (422) for parameters that would find nothing whatever is stored, or mean nothing."""
    if wanted.or_node_wide and wanted.student_id is None:
        raise invalid_field("concerning_student", True, "expected a student_id beside it")
    if wanted.or_node_wide and wanted.node_wide is not None:
        raise invalid_field(
            "node_wide", wanted.node_wide, "expected to be left out beside concerning_student=true"
        )
    if wanted.node_wide and not (wanted.class_div is None and wanted.student_id is None):
        raise invalid_field(
            "node_wide",
            True,
            "the gaps of whole nodes name no class and no student; expected node_wide=true without these, or"
            " concerning_student=true",
        )
    if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
        raise invalid_field(
            "from", format_instant(wanted.since), f"expected no later than to, {format_instant(wanted.until)}"
        )


def _view(gap: gap_queries.StoredGap) -> GapView:
    fields: dict[str, Any] = {**gap._asdict(), "id": gap.event_id.hex(), "type": "gap"}
    for name in ("occurred_at", "started_at", "received_at"):
        if fields[name] is not None:
            fields[name] = format_instant(fields[name])
    return GapView.model_validate(fields)
