"""The posts of the agents and the notebook hook in use before ours, as models, and their way into records.

They carry no event id. One is made from everything that was posted, so that a repeat is recognised.
"""

import hashlib
import json
import re
from datetime import datetime, tzinfo
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from watcher_backend.clock import parse_compact, to_micros
from watcher_backend.problems import invalid_field
from watcher_backend.storage.records import EventRecord, ProcessRecord, VersionRecord, WorkKey

_ISO_START = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}")


def _iso_text(value: object) -> object:
    # Without this a bare number would be taken for seconds since 1970, and a bare date for midnight.
    if not isinstance(value, str) or not _ISO_START.match(value):
        raise PydanticCustomError("iso_time", "expected ISO 8601, like 2025-10-22T20:31:55.613932")
    return value


IsoTime = Annotated[
    datetime,
    Field(strict=False),
    BeforeValidator(_iso_text),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "ISO 8601; without an offset it is local time in WATCHER_TIMEZONE.",
        }
    ),
]
_Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_Path = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=8192)]


class _LegacyBody(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class SnapshotPost(_LegacyBody):
    """A saved version. bytes: its size; 0 stands for a deletion."""

    size: Annotated[int, Field(alias="bytes", ge=0, le=2**63 - 1)]


class _LogPost(_LegacyBody):
    cmdline: _Text
    exit_code: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
    cwd: _Path
    target_path: _Path
    timestamp: IsoTime


class BuildPost(_LogPost):
    """A build that ended."""

    binary_path: _Path


class RunPost(_LogPost):
    """A run that ended. binary_path is not sent by today's agents."""

    process_type: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=64)]
    binary_path: _Path = ""


def snapshot_record(
    work: WorkKey, filename: str, timestamp: str, post: SnapshotPost, received_at: int
) -> EventRecord:
    """Return a posted version as it is stored. Raises ProblemError (422) for an impossible timestamp."""
    try:
        occurred_at = parse_compact(timestamp)
    except ValueError as error:
        raise invalid_field("timestamp", timestamp, str(error)) from None
    return EventRecord(
        event_id=_event_id("snapshot", *work, filename, timestamp, post.size),
        type="snapshot",
        work=work,
        occurred_at=occurred_at,
        received_at=received_at,
        origin=None,
        sequence=None,
        detail=VersionRecord(filename, "deleted" if post.size == 0 else None, post.size),
    )


def process_record(
    kind: Literal["build", "run"],
    work: WorkKey,
    post: BuildPost | RunPost,
    zone: tzinfo,
    received_at: int,
) -> EventRecord:
    """Return a posted build or run as it is stored; naive timestamps are local time in ``zone``.

    Raises ProblemError (422) for an impossible timestamp.
    """
    try:
        occurred_at = to_micros(post.timestamp, zone)
    except ValueError as error:
        raise invalid_field("timestamp", post.timestamp.isoformat(), str(error)) from None
    return EventRecord(
        event_id=_event_id(kind, *work, json.loads(post.model_dump_json())),
        type=kind,
        work=work,
        occurred_at=occurred_at,
        received_at=received_at,
        origin=None,
        sequence=None,
        detail=ProcessRecord(
            hostname=None,
            pid=None,
            started_at=None,
            process_type=post.process_type if isinstance(post, RunPost) else None,
            binary_path=post.binary_path,
            argv=None,
            cmdline=post.cmdline,
            argv_truncated=False,
            cwd=post.cwd,
            target_path=post.target_path,
            exit_code=post.exit_code,
        ),
    )


def _event_id(*parts: object) -> bytes:
    text = json.dumps(["legacy", *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:16]
