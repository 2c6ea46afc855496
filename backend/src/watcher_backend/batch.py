"""Reading a batch: the valid events of it, and for each of the others what is wrong."""

import json
import math
import re
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from watcher_backend.events import Agent, Batch, BatchEnvelope, WireEvent
from watcher_backend.problems import ProblemError, field_error, invalid_fields
from watcher_backend.storage.records import Record
from watcher_backend.text import printable

_EVENT: TypeAdapter[WireEvent] = TypeAdapter(WireEvent)
_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_EVENT_TYPES = frozenset({"snapshot", "build", "run", "gap"})
_SHOWN_PROBLEMS = 3


class Rejected(NamedTuple):
    """An event that is not taken: its id and type as far as they can be told, and what is wrong with it."""

    id: str | None
    type: str
    problem: str


class ReceivedBatch(NamedTuple):
    """A batch's sender and, in the order of its events, what to store or why not."""

    agent: Agent
    events: list[Record | Rejected]


def read_batch(body: bytes, received_at: int) -> ReceivedBatch:
    """Read the body of a batch; received_at in microseconds since the epoch.

    An event that breaks the contract is rejected by itself. Raises ProblemError (422) where the batch as a
    whole cannot be read: no JSON, another envelope, no events or too many.
    """
    try:
        batch = Batch.model_validate_json(body)
    except ValidationError:
        return _read_one_by_one(body, received_at)
    events: list[Record | Rejected] = [event.to_record(batch.agent, received_at) for event in batch.events]
    return ReceivedBatch(batch.agent, events)


def _read_one_by_one(body: bytes, received_at: int) -> ReceivedBatch:
    """The slow way, which tells the good events from the bad."""
    try:
        envelope = BatchEnvelope.model_validate(_parse(body))
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False)) from None
    return ReceivedBatch(
        envelope.agent, [_read_event(item, envelope.agent, received_at) for item in envelope.events]
    )


def _read_event(item: object, agent: Agent, received_at: int) -> Record | Rejected:
    try:
        return _EVENT.validate_python(item).to_record(agent, received_at)
    except ValidationError as error:
        return _rejected(item, error)


def _rejected(item: object, error: ValidationError) -> Rejected:
    event_id = event_type = None
    if isinstance(item, dict):
        event_id, event_type = item.get("id"), item.get("type")
    findings = error.errors(include_url=False)
    shown = []
    for finding in findings[:_SHOWN_PROBLEMS]:
        # The union's chosen member leads the location; the event's own type says that already.
        location = finding["loc"][1:] if finding["loc"][:1] == (event_type,) else finding["loc"]
        field = field_error({**finding, "loc": location})
        name = "event" if field.field == "body" else field.field
        shown.append(f"{name}: {field.problem} (got {field.value})")
    if len(findings) > _SHOWN_PROBLEMS:
        shown.append(f"and {len(findings) - _SHOWN_PROBLEMS} more")
    return Rejected(
        id=event_id if isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) else None,
        type=event_type if isinstance(event_type, str) and event_type in _EVENT_TYPES else "unknown",
        problem="; ".join(shown),
    )


def _parse(body: bytes) -> object:
    """Parse JSON leniently enough that one event's odd value stays that event's own problem."""
    try:
        return json.loads(body.decode("utf-8"), parse_int=_integer, parse_float=_number)
    except UnicodeDecodeError as error:
        raise ProblemError(422, f"the body is not UTF-8: byte {error.start} cannot be decoded") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise ProblemError(422, f"the body is not JSON: {printable(reason)}") from None
    except RecursionError:
        raise ProblemError(422, "the body is nested too deeply") from None


def _integer(text: str) -> int | float:
    # No field takes more digits, and the time to convert them grows with their square.
    return int(text) if len(text) <= 40 else math.inf


def _number(text: str) -> int | float:
    # To JSON Schema 5.0 is an integer.
    number = float(text)
    return int(number) if number.is_integer() else number
