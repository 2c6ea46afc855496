"""Events and gaps on their way into the database: validated, in the database's units, not yet with row ids.

Named tuples, because a thousand of them are made for one batch.
"""

from typing import NamedTuple


class WorkKey(NamedTuple):
    """Names one student's work on one assignment."""

    class_div: str
    hw_name: str
    student_id: int


class OriginKey(NamedTuple):
    """Names the agent that captured an event."""

    agent: str
    node: str
    release: str
    boot_id: str


class VersionRecord(NamedTuple):
    """A saved version of a file. size in bytes; change is None where only what is stored can tell."""

    filename: str
    change: str | None
    size: int
    sha256: bytes | None = None
    snapshot_path: str | None = None
    content_omitted: str | None = None
    recovered: bool = False


class ProcessRecord(NamedTuple):
    """A build or a run. argv as JSON text; where it is None, cmdline holds what was posted."""

    hostname: str | None
    pid: int | None
    started_at: int | None
    process_type: str | None
    binary_path: str
    argv: str | None
    cmdline: str | None
    argv_truncated: bool
    cwd: str
    target_path: str
    exit_code: int | None
    signal: int | None = None
    core_dumped: bool = False
    replaced_by_exec: bool = False
    already_running: bool = False
    hostname_forged: bool = False


class EventRecord(NamedTuple):
    """One event of a student's work. event_id has 16 bytes; times are microseconds since the epoch."""

    event_id: bytes
    type: str
    work: WorkKey
    occurred_at: int
    received_at: int
    origin: OriginKey | None
    sequence: int | None
    detail: VersionRecord | ProcessRecord


class GapRecord(NamedTuple):
    """A time in which work was, or may have been, not recorded. Units as in EventRecord.

    class_div and student_id: whose work; both None where all of the node's. started_at None: not known.
    """

    event_id: bytes
    class_div: str | None
    student_id: int | None
    started_at: int | None
    occurred_at: int
    received_at: int
    origin: OriginKey
    sequence: int
    cause: str
    files_seen: int | None = None
    files_recovered: int | None = None
    events_lost: int | None = None
    detail: str | None = None

    @property
    def type(self) -> str:
        """What the wire calls it."""
        return "gap"


Record = EventRecord | GapRecord
"""Whatever an agent can deliver."""
