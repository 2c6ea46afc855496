"""The wire contract's events (docs/wire/event-v1.schema.json) as models, and their way into records.

What the models accept is what the schema accepts, less what no node can have sent: dates that the calendar
does not have, NUL characters, snapshot paths that climb, gaps that end before they begin, half of a student's
name.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from watcher_backend.clock import format_instant, parse_instant
from watcher_backend.names import MAX_FILENAME_LENGTH, MAX_STUDENT_ID, check_filename, check_snapshot_path
from watcher_backend.storage.records import (
    EventRecord,
    GapRecord,
    OriginKey,
    ProcessRecord,
    VersionRecord,
    WorkKey,
)

MAX_BATCH_EVENTS = 1000
_MAX_INTEGER = 2**63 - 1


def _read_instant(value: object) -> int:
    if not isinstance(value, str):
        raise PydanticCustomError("instant", "expected a string like 2025-07-30T06:17:53.417000Z")
    try:
        return parse_instant(value)
    except ValueError as error:
        raise PydanticCustomError("instant", "{reason}", {"reason": str(error)}) from None


def _checked_snapshot_path(value: str) -> str:
    try:
        return check_snapshot_path(value)
    except ValueError as error:
        raise PydanticCustomError("snapshot_path", "{reason}", {"reason": str(error)}) from None


def _checked_filename(value: str) -> str:
    try:
        return check_filename(value)
    except ValueError as error:
        raise PydanticCustomError("filename", "{reason}", {"reason": str(error)}) from None


_NO_NUL = r"^[^\x00]*$"
_COMPONENT = r"[^/\x00-\x1f\x7f]+"

Instant = Annotated[
    int,
    BeforeValidator(_read_instant),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
            "description": "UTC, microseconds.",
        }
    ),
]
EventId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
BootId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Sequence = Annotated[int, Field(ge=1, le=_MAX_INTEGER)]
ClassDiv = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+-[A-Za-z0-9]+$", max_length=64)]
StudentId = Annotated[int, Field(ge=0, le=MAX_STUDENT_ID)]
HwName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=64)]
Count = Annotated[int, Field(ge=0, le=_MAX_INTEGER)]
ProcessPath = Annotated[str, Field(min_length=1, max_length=8192, pattern=_NO_NUL)]


_encode_argv = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Agent(_Strict):
    """Who sends a batch."""

    name: Literal["filemon", "procmon"]
    node: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]+$")]
    release: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _WireEvent(_Strict):
    id: EventId
    occurred_at: Instant
    boot_id: BootId
    sequence: Sequence

    def _origin(self, agent: Agent) -> OriginKey:
        return OriginKey(agent.name, agent.node, agent.release, self.boot_id)


class _WorkEvent(_WireEvent):
    class_div: ClassDiv
    student_id: StudentId
    hw_name: HwName

    def _record(
        self, event_type: str, agent: Agent, received_at: int, detail: VersionRecord | ProcessRecord
    ) -> EventRecord:
        return EventRecord(
            event_id=bytes.fromhex(self.id),
            type=event_type,
            work=WorkKey(self.class_div, self.hw_name, self.student_id),
            occurred_at=self.occurred_at,
            received_at=received_at,
            origin=self._origin(agent),
            sequence=self.sequence,
            detail=detail,
        )


class SnapshotEvent(_WorkEvent):
    """A saved version of a file, or its deletion."""

    type: Literal["snapshot"]
    filename: Annotated[
        str,
        Field(min_length=1, max_length=MAX_FILENAME_LENGTH, pattern=rf"^{_COMPONENT}$"),
        AfterValidator(_checked_filename),
    ]
    change: Literal["created", "modified", "deleted"]
    size: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    snapshot_path: (
        Annotated[
            str,
            Field(min_length=1, max_length=1024, pattern=rf"^{_COMPONENT}(/{_COMPONENT})*$"),
            AfterValidator(_checked_snapshot_path),
        ]
        | None
    )
    content_omitted: Literal["too_large", "spool_full"] | None
    recovered: bool

    def to_record(self, agent: Agent, received_at: int) -> EventRecord:
        """Return the event as it is stored; received_at in microseconds since the epoch."""
        detail = VersionRecord(
            filename=self.filename,
            change=self.change,
            size=self.size,
            sha256=None if self.sha256 is None else bytes.fromhex(self.sha256),
            snapshot_path=self.snapshot_path,
            content_omitted=self.content_omitted,
            recovered=self.recovered,
        )
        return self._record(self.type, agent, received_at, detail)


class ProcessEvent(_WorkEvent):
    """A build or a run."""

    type: Literal["build", "run"]
    hostname: Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_NUL)]
    pid: Annotated[int, Field(ge=1, le=4194304)]
    started_at: Instant
    process_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+.-]+$", max_length=32)]
    binary_path: ProcessPath
    argv: Annotated[list[Annotated[str, Field(pattern=_NO_NUL)]], Field(max_length=16384)]
    argv_truncated: bool
    cwd: ProcessPath
    target_path: ProcessPath
    exit_code: Annotated[int, Field(ge=0, le=255)] | None
    signal: Annotated[int, Field(ge=1, le=127)] | None
    core_dumped: bool
    replaced_by_exec: bool
    already_running: bool
    hostname_forged: bool = False

    def to_record(self, agent: Agent, received_at: int) -> EventRecord:
        """Return the event as it is stored; received_at in microseconds since the epoch."""
        detail = ProcessRecord(
            hostname=self.hostname,
            pid=self.pid,
            started_at=self.started_at,
            process_type=self.process_type,
            binary_path=self.binary_path,
            argv=_encode_argv(self.argv),
            cmdline=None,
            argv_truncated=self.argv_truncated,
            cwd=self.cwd,
            target_path=self.target_path,
            exit_code=self.exit_code,
            signal=self.signal,
            core_dumped=self.core_dumped,
            replaced_by_exec=self.replaced_by_exec,
            already_running=self.already_running,
            hostname_forged=self.hostname_forged,
        )
        return self._record(self.type, agent, received_at, detail)


GapCause = Literal[
    "agent_stopped", "queue_overflow", "remounted", "unwatched", "blind_mount", "saves_overtaken",
    "rate_limited", "too_many_files", "probe_loss", "spool_full", "spool_unwritable", "spool_damaged",
    "dropped_by_operator",
]  # fmt: skip


class GapEvent(_WireEvent):
    """A time in which work of students was, or may have been, not recorded."""

    type: Literal["gap"]
    class_div: ClassDiv | None
    student_id: StudentId | None
    started_at: Instant | None
    cause: GapCause
    files_seen: Count | None
    files_recovered: Count | None
    events_lost: Count | None
    detail: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")] | None

    # Validators of a field, not of the model, so that what is wrong is said of that field. A field that failed
    # before is not in info.data, and has been told already.
    @field_validator("student_id")
    @classmethod
    def _with_a_class(cls, student_id: int | None, info: ValidationInfo) -> int | None:
        if "class_div" in info.data and (info.data["class_div"] is None) != (student_id is None):
            raise PydanticCustomError("gap_student", "expected both class_div and student_id, or null for both")
        return student_id

    @field_validator("started_at")
    @classmethod
    def _before_its_end(cls, started_at: int | None, info: ValidationInfo) -> int | None:
        end = info.data.get("occurred_at")
        if started_at is not None and end is not None and started_at > end:
            raise PydanticCustomError(
                "gap_start", "expected no later than occurred_at, {end}", {"end": format_instant(end)}
            )
        return started_at

    def to_record(self, agent: Agent, received_at: int) -> GapRecord:
        """Return the gap as it is stored; received_at in microseconds since the epoch."""
        return GapRecord(
            event_id=bytes.fromhex(self.id),
            class_div=self.class_div,
            student_id=self.student_id,
            started_at=self.started_at,
            occurred_at=self.occurred_at,
            received_at=received_at,
            origin=self._origin(agent),
            sequence=self.sequence,
            cause=self.cause,
            files_seen=self.files_seen,
            files_recovered=self.files_recovered,
            events_lost=self.events_lost,
            detail=self.detail,
        )


WireEvent = Annotated[SnapshotEvent | ProcessEvent | GapEvent, Field(discriminator="type")]


# Not Literal[1], which takes true for 1.
SchemaVersion = Annotated[int, Field(alias="schema", ge=1, le=1)]


class Batch(_Strict):
    """What an agent posts: 1 to 1000 events of its own, all valid."""

    version: SchemaVersion
    agent: Agent
    events: Annotated[list[WireEvent], Field(min_length=1, max_length=MAX_BATCH_EVENTS)]


class BatchEnvelope(_Strict):
    """A batch whose events have not been looked at."""

    version: SchemaVersion
    agent: Agent
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH_EVENTS)]
