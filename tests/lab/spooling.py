"""A spool to test with, and events for it; a conftest imports the fixtures."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents import wire
from watcher_agents.spool import Content, Spool
from watcher_agents.state import StateDatabase

WORKSPACE = "os-1-202012180"
OCCURRED_AT = "2026-11-24T00:00:00.000000Z"
OCCURRED_NS = 1_795_478_400_000_000_000


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDatabase]:
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as database:
        yield database


@pytest.fixture
def spool(state: StateDatabase) -> Spool:
    return Spool(state)


def version(
    name: str, data: bytes | None = None, workspace: str = WORKSPACE, occurred_at: str = OCCURRED_AT
) -> tuple[wire.Event, Content | None]:
    """A saved version as filemon spools it; `name` is its id, None stands for a content that is too large."""
    class_div, _, student_id = workspace.rpartition("-")
    body: wire.Event = {
        "id": name,
        "type": "snapshot",
        "occurred_at": occurred_at,
        "boot_id": "a5112a9e-a8ab-40a1-bfa8-a21fe8cbdd00",
        "workspace": workspace,
        "class_div": class_div,
        "student_id": int(student_id),
        "hw_name": "hw1",
        "filename": "a.c",
        "change": "modified",
        "size": 0 if data is None else len(data),
        "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "snapshot_path": None,
        "content_omitted": "too_large" if data is None else None,
        "recovered": False,
    }
    content = None if data is None else Content(data, f"{workspace}/hw1/a.c", "c", OCCURRED_NS)
    return body, content


def gap(name: str, started_at: str | None = OCCURRED_AT, workspace: str = "") -> tuple[wire.Event, None]:
    """A gap as the agents spool it; without a workspace it is the node's."""
    class_div, _, student_id = workspace.rpartition("-")
    return {
        "id": name,
        "type": "gap",
        "workspace": workspace,
        "occurred_at": OCCURRED_AT,
        "boot_id": "a5112a9e-a8ab-40a1-bfa8-a21fe8cbdd00",
        "class_div": class_div or None,
        "student_id": int(student_id) if student_id else None,
        "started_at": started_at,
        "cause": "agent_stopped",
        "files_seen": None,
        "files_recovered": None,
        "events_lost": None,
        "detail": None,
    }, None


def add(state: StateDatabase, spool: Spool, *events: tuple[wire.Event, Content | None]) -> None:
    """Spool events in one transaction."""
    with state.transaction() as transaction:
        spool.append(transaction, events)
    spool.announce()


def waiting(spool: Spool) -> list[str]:
    """The ids of what waits, with content or without, in the order of their sequence."""
    events = [*spool.unstored(100_000, 1 << 40), *spool.ready(100_000, 1 << 40)]
    return [event.body["id"] for event in sorted(events, key=lambda event: event.sequence)]
