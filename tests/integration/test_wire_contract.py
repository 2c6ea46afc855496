"""The agents' side of the wire contract: what they really spool is what the schema says."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lab.pod import PROJECT, Pod
from lab.stack import Program, Stack
from lab.student_day import HOSTNAME, HW_NAME, STEPS, WORKSPACE
from lab.waiting import wait_for

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/wire/event-v1.schema.json").read_text())


@pytest.fixture(scope="module")
def spooled() -> Iterator[dict[Program, list[dict[str, Any]]]]:
    """What each agent has spooled of a student's day, with the backend never there to take it."""
    with Stack() as stack:
        stack.start("filemon", "procmon")
        with Pod(HOSTNAME, stack.workspaces / WORKSPACE) as pod:
            pod.run(f"mkdir {HW_NAME}")
            for step in STEPS:
                pod.run(step.script, f"{PROJECT}/{HW_NAME}")
            pod.run("printf x > $'bad\\xff\\n.c'; head -c 70000 /dev/zero > big.c", f"{PROJECT}/{HW_NAME}")
            wait_for(lambda: stack.metric("procmon", "watcher_spool_events") >= 6, "the builds and runs")
            wait_for(lambda: stack.metric("filemon", "watcher_spool_events") >= 9, "the saves")
            wait_for(lambda: stack.metric("filemon", "watcher_spool_unstored_events") == 0, "the snapshots")
        agents: tuple[Program, ...] = ("filemon", "procmon")
        yield {agent: _spooled_events(stack.directory / "state" / agent / "spool.sqlite3") for agent in agents}


def _spooled_events(database: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT sequence, body FROM event ORDER BY sequence").fetchall()
    return [json.loads(body) | {"sequence": sequence} for sequence, body in rows]


@pytest.mark.parametrize("agent", ["filemon", "procmon"])
def test_every_event_that_an_agent_sends_is_what_the_schema_says(
    spooled: dict[Program, list[dict[str, Any]]], agent: Program
) -> None:
    assert spooled[agent]
    for event in spooled[agent]:
        jsonschema.validate(event, SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("agent", ["filemon", "procmon"])
def test_the_sequence_has_no_holes_and_no_id_comes_twice(
    spooled: dict[Program, list[dict[str, Any]]], agent: Program
) -> None:
    first = spooled[agent][0]["sequence"]
    assert [event["sequence"] for event in spooled[agent]] == list(range(first, first + len(spooled[agent])))
    assert len({event["id"] for event in spooled[agent]}) == len(spooled[agent])
