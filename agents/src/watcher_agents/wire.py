"""The wire contract's sending side: events as `docs/wire/event-v1.schema.json` defines them."""

import hashlib
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from watcher_agents.identity import Student

SCHEMA = 1
Event = dict[str, Any]
"""An event as JSON, without `sequence`, which the spool gives it.

On its way into the spool it also says whose `workspace` it concerns, empty: the node's. That is not on the wire:
the spool takes it out and keeps it beside the event.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def event_id(*what_happened: str | int | bytes) -> str:
    """An id made from what happened: the first 128 bits of SHA-256 over the parts, as 32 hex digits.

    Each part goes in with its type and length, so that no two different tuples read the same.
    """
    digest = hashlib.sha256()
    for part in what_happened:
        raw = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogateescape")
        digest.update(f"{type(part).__name__}:{len(raw)}:".encode())
        digest.update(raw)
    return digest.hexdigest()[:32]


def instant(nanoseconds: int) -> str:
    """Nanoseconds since the epoch as the contract writes an instant: UTC, microseconds, cut and not rounded."""
    return format_instant(_EPOCH + timedelta(microseconds=nanoseconds // 1000))


def format_instant(moment: datetime) -> str:
    """An aware datetime as the contract writes an instant."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def nanoseconds(moment: str) -> int:
    """An instant of the contract as nanoseconds since the epoch. Raises ValueError."""
    since = datetime.fromisoformat(moment.removesuffix("Z") + "+00:00") - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def read_boot_id() -> str:
    """The id of this node's boot; with the sequence it tells a restart of the node from a loss."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identity_fields(student: Student, hw_name: str) -> Event:
    """The fields that say whose work on what an event is."""
    return {
        "workspace": student.workspace,
        "class_div": student.class_div,
        "student_id": student.student_id,
        "hw_name": hw_name,
    }


def encode(document: Any) -> bytes:
    """Compact JSON in UTF-8; raises ValueError for what JSON has no form for."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
