"""`watcher-agent spool`: operators see what waits, and decide about what the backend refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import troubled_backend as troubled
from lab.spooling import WORKSPACE, add, gap, version
from lab.troubled_backend import Server
from lab.waiting import wait_for
from watcher_agents import losses
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

COMMAND = [sys.executable, "-m", "watcher_agents.node.cli", "spool", "filemon"]


def run(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    action, *options = arguments
    return subprocess.run(
        [*COMMAND, action, "--state-dir", str(state_dir), *options], capture_output=True, text=True, check=False
    )


def answer(state_dir: Path, *arguments: str) -> Any:
    done = run(state_dir, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def set_aside(spool: Spool, *ids: str) -> None:
    spool.settle([], [(event, "no such class") for event in spool.ready(100, 1 << 20) if event.body["id"] in ids])


def test_the_list_shows_the_oldest_of_what_waits_and_what_is_set_aside(
    state: StateDatabase, spool: Spool, tmp_path: Path
) -> None:
    add(state, spool, version("a"), version("b", b"secret = 1"), version("c"), gap("g"))
    set_aside(spool, "c")
    listed = answer(tmp_path, "list")
    assert (listed["waiting"], listed["set_aside"], listed["bytes"]) == (3, 1, spool.backlog().bytes)
    assert [(one["id"], one["waits_for"], one["reason"]) for one in listed["events"]] == [
        ("a", "backend", None),
        ("b", "snapshot_volume", None),
        ("c", None, "no such class"),
        ("g", "backend", None),
    ]
    assert [one["id"] for one in answer(tmp_path, "list", "--rejected")["events"]] == ["c"]
    assert [one["id"] for one in answer(tmp_path, "list", "--limit", "2")["events"]] == ["a", "b"]
    text = run(tmp_path, "list").stdout
    assert text.startswith(f"3 events wait, 1 set aside, {spool.backlog().bytes} bytes\n")
    assert f"snapshot {WORKSPACE} a.c: no such class\n" in text
    assert "secret" not in text + json.dumps(listed)


def test_one_event_is_shown_whole_but_for_its_content(state: StateDatabase, spool: Spool, tmp_path: Path) -> None:
    add(state, spool, version("b", b"secret = 1"))
    shown = run(tmp_path, "show", "b").stdout
    assert json.loads(shown) == answer(tmp_path, "show", "b")
    document = json.loads(shown)
    assert document["content_bytes"] == 10
    assert document["event"]["filename"] == "a.c"
    assert "secret" not in shown


@pytest.mark.usefixtures("delivery")
def test_what_was_refused_is_sent_again_by_the_running_agent_in_its_place(
    server: Server, state: StateDatabase, spool: Spool, tmp_path: Path
) -> None:
    server.answers.append(troubled.reject_one)
    add(state, spool, version("a"))
    wait_for(lambda: spool.backlog().rejected == 1, "the refusal")
    sequence = answer(tmp_path, "show", "a")["sequence"]
    server.answers.append(troubled.fail)
    assert answer(tmp_path, "retry", "--all") == {"retried": 1}
    with state.reading() as connection:
        rows = connection.execute("SELECT sequence, workspace FROM event").fetchall()
    assert rows in ([(sequence, WORKSPACE)], [])
    wait_for(lambda: server.stored == ["a"], "the event")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert spool.backlog().bytes == 0


def test_one_that_waits_again_is_not_put_back_twice(state: StateDatabase, spool: Spool, tmp_path: Path) -> None:
    add(state, spool, version("a"))
    set_aside(spool, "a")
    add(state, spool, version("a"))
    assert answer(tmp_path, "retry", "a") == {"retried": 1}
    assert (spool.backlog().events, spool.backlog().rejected) == (1, 0)


def test_what_an_operator_drops_is_a_loss_that_is_noted(
    state: StateDatabase, spool: Spool, tmp_path: Path
) -> None:
    add(state, spool, *(version(name) for name in "abc"), version("d", b"int x;", "os-1-007"))
    set_aside(spool, "a", "b")
    assert answer(tmp_path, "drop", "--all", "--yes") == {"dropped": 2}
    assert answer(tmp_path, "drop", "d", "--yes") == {"dropped": 1}
    assert [event.body["id"] for event in spool.ready(100, 1 << 20)] == ["c"]
    with state.reading() as connection:
        noted = {loss.workspace: (loss.cause, loss.events) for loss in losses.noted(connection)}
    assert noted == {WORKSPACE: ("dropped_by_operator", 2), "os-1-007": ("dropped_by_operator", 1)}


def test_nothing_is_dropped_without_a_yes(state: StateDatabase, spool: Spool, tmp_path: Path) -> None:
    add(state, spool, version("a"))
    set_aside(spool, "a")
    done = run(tmp_path, "drop", "--all")
    assert done.returncode == 2
    assert (
        done.stderr == "watcher-agent: spool drop gives work of students up for good: say --yes if that is meant\n"
    )
    assert spool.backlog().rejected == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("show", "nothing"), "nothing is not in the spool: expected an id that the list shows"),
        (("retry", "a"), "a is not set aside: it waits, and is sent by itself"),
    ],
)
def test_an_event_that_is_not_there_is_named(
    state: StateDatabase, spool: Spool, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    add(state, spool, version("a"))
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (1, f"watcher-agent spool: {problem}\n")


def test_a_state_directory_without_a_spool_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "nowhere", "list")
    assert done.returncode == 1
    assert done.stderr == (
        f"watcher-agent spool: {tmp_path}/nowhere/spool.sqlite3 is not there:"
        " expected the spool of an agent that has run on this node\n"
    )


def test_a_spool_of_a_stopped_agent_is_worked_on_too(tmp_path: Path) -> None:
    state = StateDatabase(tmp_path / "spool.sqlite3")
    spool = Spool(state)
    add(state, spool, version("a"))
    set_aside(spool, "a")
    state.close()
    assert answer(tmp_path, "retry", "--all") == {"retried": 1}
    assert answer(tmp_path, "list")["waiting"] == 1
