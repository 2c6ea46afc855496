"""What procmon has spooled, where no backend runs that could have taken it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from lab.stack import Stack


def state_of(stack: Stack) -> Path:
    """Where a stack's procmon keeps its spool."""
    return stack.directory / "state" / "procmon"


def spooled(stack: Stack) -> list[dict[str, Any]]:
    """The events, oldest first."""
    return [json.loads(body) for (body,) in _rows(stack, "SELECT body FROM event ORDER BY sequence")]


def whole_until(stack: Stack) -> bool:
    """Whether procmon has noted up to when it has recorded everything."""
    return bool(_rows(stack, "SELECT at_ns FROM whole_until"))


def _rows(stack: Stack, query: str) -> list[tuple[Any, ...]]:
    database = state_of(stack) / "spool.sqlite3"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def runs(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The runs of the student's program of this name."""
    return [
        event for event in spooled(stack) if event["type"] == "run" and event["binary_path"].endswith(f"/{name}")
    ]


def gaps(stack: Stack, cause: str) -> list[dict[str, Any]]:
    """The gaps of one cause."""
    return [event for event in spooled(stack) if event["type"] == "gap" and event["cause"] == cause]
