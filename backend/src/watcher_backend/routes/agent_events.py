"""POST /api/v1/events: what our agents deliver."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypedDict

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from watcher_backend.batch import ReceivedBatch, Rejected, read_batch
from watcher_backend.clock import format_instant, now_micros
from watcher_backend.events import Batch
from watcher_backend.problems import documented
from watcher_backend.routes.ingest_requests import IngestRoute, documented_request, json_body
from watcher_backend.services import services_of
from watcher_backend.storage.records import GapRecord, Record, VersionRecord

_log = logging.getLogger(__name__)
_LOGGED_REJECTIONS = 5
_LOGGED_GAPS = 5

router = APIRouter(tags=["agents"], route_class=IngestRoute)


class _Result(TypedDict):
    id: str | None
    status: str
    problem: str | None


class EventResult(BaseModel):
    """What became of one event. rejected: it breaks the contract, sending it again is of no use."""

    id: str | None
    status: Literal["stored", "duplicate", "rejected"]
    problem: str | None = None


class BatchResult(BaseModel):
    """What became of each event, in the order of the batch."""

    results: list[EventResult]


@router.post(
    "/api/v1/events",
    summary="Deliver a batch of events",
    description="Stores up to 1000 events of one agent. Every event has a result of its own; an event that was"
    " delivered before is a duplicate and stored once. Nothing is answered before it is committed.",
    response_model=BatchResult,
    responses=documented(413, 415, 429),
    openapi_extra=documented_request(Batch),
)
async def deliver_events(request: Request) -> Response:
    """Store a batch."""
    services = services_of(request)
    batch = read_batch(await json_body(request), now_micros())
    records = [event for event in batch.events if not isinstance(event, Rejected)]
    stored = iter(await services.writer.store(records))
    # Plain dictionaries of the documented shape: a thousand models would cost more than storing does.
    results: list[_Result] = []
    counts: Counter[tuple[str, str]] = Counter()
    for event in batch.events:
        if isinstance(event, Rejected):
            result: _Result = {"id": event.id, "status": "rejected", "problem": event.problem}
        else:
            status = "stored" if next(stored) else "duplicate"
            result = {"id": event.event_id.hex(), "status": status, "problem": None}
        results.append(result)
        counts[event.type, result["status"]] += 1
    for (event_type, outcome), number in counts.items():
        services.metrics.count_events(event_type, outcome, number)
    _log_batch(batch, results)
    return Response(json.dumps({"results": results}), media_type="application/json")


def _log_batch(batch: ReceivedBatch, results: Sequence[_Result]) -> None:
    outcomes = Counter(result["status"] for result in results)
    _log.info(
        "batch agent=%s node=%s stored=%d duplicate=%d rejected=%d%s",
        batch.agent.name,
        batch.agent.node,
        outcomes["stored"],
        outcomes["duplicate"],
        outcomes["rejected"],
        _described(batch.events[0]) if len(batch.events) == 1 else "",
    )
    if _log.isEnabledFor(logging.DEBUG):
        for event, result in zip(batch.events, results, strict=True):
            _log.debug("event id=%s status=%s%s", result["id"], result["status"], _described(event))
    rejections = [event for event in batch.events if isinstance(event, Rejected)]
    for rejection in rejections[:_LOGGED_REJECTIONS]:
        _log.warning("rejected event id=%s from node=%s: %s", rejection.id, batch.agent.node, rejection.problem)
    if len(rejections) > _LOGGED_REJECTIONS:
        _log.warning("rejected %d more events of the same batch", len(rejections) - _LOGGED_REJECTIONS)
    _log_gaps(batch, results)


def _log_gaps(batch: ReceivedBatch, results: Sequence[_Result]) -> None:
    gaps = [
        event
        for event, result in zip(batch.events, results, strict=True)
        # One that was delivered before has been told of before.
        if isinstance(event, GapRecord) and result["status"] == "stored"
    ]
    for gap in gaps[:_LOGGED_GAPS]:
        _log.warning(
            "gap id=%s agent=%s node=%s%s from=%s to=%s lost=%s",
            gap.event_id.hex(),
            batch.agent.name,
            batch.agent.node,
            _described(gap),
            "unknown" if gap.started_at is None else format_instant(gap.started_at),
            format_instant(gap.occurred_at),
            "unknown" if gap.events_lost is None else gap.events_lost,
        )
    if len(gaps) > _LOGGED_GAPS:
        _log.warning("%d more gaps in the same batch from node=%s", len(gaps) - _LOGGED_GAPS, batch.agent.node)


def _described(event: Record | Rejected) -> str:
    if isinstance(event, Rejected):
        return ""
    if isinstance(event, GapRecord):
        whose = "" if event.class_div is None else f" class={event.class_div} student={event.student_id}"
        return f"{whose} type=gap cause={event.cause}"
    work, detail = event.work, event.detail
    what = (
        f"filename={detail.filename} change={detail.change} size={detail.size}"
        if isinstance(detail, VersionRecord)
        else f"binary={detail.binary_path} exit_code={detail.exit_code} signal={detail.signal}"
    )
    return f" class={work.class_div} hw={work.hw_name} student={work.student_id} type={event.type} {what}"
