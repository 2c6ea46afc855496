"""Valid events and records that the tests change one thing of."""

import itertools
from typing import Any

from watcher_backend.storage.records import (
    EventRecord,
    GapRecord,
    OriginKey,
    ProcessRecord,
    VersionRecord,
    WorkKey,
)

BOOT_ID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
AGENT = {"name": "filemon", "node": "worker-1", "release": "0.1.0"}
WORK = WorkKey("os-1", "hw1", 202012180)
ORIGIN = OriginKey("filemon", "worker-1", "0.1.0", BOOT_ID)

_numbers = itertools.count(1)


def snapshot(**changes: Any) -> dict[str, Any]:
    """Return a valid snapshot event of the wire, with an id of its own."""
    number = next(_numbers)
    event = {
        "id": f"{number:032x}",
        "type": "snapshot",
        "occurred_at": "2025-07-30T06:17:53.417000Z",
        "boot_id": BOOT_ID,
        "sequence": number,
        "class_div": "os-1",
        "student_id": 202012180,
        "hw_name": "hw1",
        "filename": "src@hello.c",
        "change": "modified",
        "size": 6,
        "sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        "snapshot_path": "os-1-202012180/hw1/src@hello.c/20250730_061753.417.c",
        "content_omitted": None,
        "recovered": False,
    }
    return {**event, **changes}


def process(**changes: Any) -> dict[str, Any]:
    """Return a valid build event of the wire, with an id of its own."""
    number = next(_numbers)
    event = {
        "id": f"{number:032x}",
        "type": "build",
        "occurred_at": "2025-07-30T06:18:00.000001Z",
        "boot_id": BOOT_ID,
        "sequence": number,
        "class_div": "os-1",
        "student_id": 202012180,
        "hw_name": "hw1",
        "hostname": "jcode-os-1-202012180-866cbc896c-lrx9d",
        "pid": 4711,
        "started_at": "2025-07-30T06:17:59.900000Z",
        "process_type": "gcc",
        "binary_path": "/usr/bin/gcc",
        "argv": ["gcc", "my file.c", "-o", "a.out"],
        "argv_truncated": False,
        "cwd": "/home/coder/project/hw1",
        "target_path": "/home/coder/project/hw1/my file.c",
        "exit_code": 1,
        "signal": None,
        "core_dumped": False,
        "replaced_by_exec": False,
        "already_running": False,
        "hostname_forged": False,
    }
    return {**event, **changes}


def gap(**changes: Any) -> dict[str, Any]:
    """Return a valid gap of the wire that concerns a whole node, with an id of its own."""
    number = next(_numbers)
    event = {
        "id": f"{number:032x}",
        "type": "gap",
        "occurred_at": "2025-07-30T06:20:00.000000Z",
        "boot_id": BOOT_ID,
        "sequence": number,
        "class_div": None,
        "student_id": None,
        "started_at": "2025-07-30T06:17:00.000000Z",
        "cause": "queue_overflow",
        "files_seen": 120,
        "files_recovered": 3,
        "events_lost": None,
        "detail": "the kernel's queue of 16384 events ran over",
    }
    return {**event, **changes}


def batch(*events: Any) -> dict[str, Any]:
    """Return a batch of filemon's."""
    return {"schema": 1, "agent": dict(AGENT), "events": list(events)}


def version_record(
    at: int, filename: str = "a.c", size: int = 10, change: str | None = "modified", **changes: Any
) -> EventRecord:
    """Return a version to store, with an id of its own; at in microseconds since the epoch."""
    record = EventRecord(
        event_id=next(_numbers).to_bytes(16, "big"),
        type="snapshot",
        work=WORK,
        occurred_at=at,
        received_at=at,
        origin=ORIGIN,
        sequence=1,
        detail=VersionRecord(filename, change, size),
    )
    return record._replace(**changes)


def process_record(at: int, kind: str = "build", **changes: Any) -> EventRecord:
    """Return a build or run to store, with an id of its own; at in microseconds since the epoch."""
    detail = ProcessRecord(
        hostname=None,
        pid=None,
        started_at=None,
        process_type="gcc",
        binary_path="/usr/bin/gcc",
        argv='["gcc","my file.c"]',
        cmdline=None,
        argv_truncated=False,
        cwd="/w",
        target_path="/w/my file.c",
        exit_code=0,
    )._replace(**changes)
    return EventRecord(
        event_id=next(_numbers).to_bytes(16, "big"),
        type=kind,
        work=WORK,
        occurred_at=at,
        received_at=at,
        origin=None,
        sequence=None,
        detail=detail,
    )


def gap_record(at: int, started_at: int | None = None, **changes: Any) -> GapRecord:
    """Return a gap of a whole node to store, with an id of its own; times in microseconds since the epoch."""
    record = GapRecord(
        event_id=next(_numbers).to_bytes(16, "big"),
        class_div=None,
        student_id=None,
        started_at=started_at,
        occurred_at=at,
        received_at=at,
        origin=ORIGIN,
        sequence=1,
        cause="agent_stopped",
    )
    return record._replace(**changes)
