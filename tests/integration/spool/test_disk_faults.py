"""Faults of the spool's disk, each made for real: full, read-only, overwritten bytes, kills in the middle."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.small_disk import SmallDisk, small_disk
from lab.spooling import OCCURRED_NS, WORKSPACE, add, gap, version, waiting
from watcher_agents import damage, losses
from watcher_agents.spool import Spool
from watcher_agents.state import LOG_BYTES, StateDatabase

MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "4m") as made:
        yield made


def test_on_a_full_disk_nothing_changes_and_with_room_it_goes_on(disk: SmallDisk) -> None:
    with closing(StateDatabase(disk.point / "spool.sqlite3")) as state:
        spool = Spool(state)
        add(state, spool, version("a", bytes(10_000)))
        disk.fill()
        with pytest.raises(sqlite3.OperationalError, match="full"):
            add(state, spool, version("b", bytes(200_000)))
        assert state.problem() == "spool cannot be written: database or disk is full"
        assert waiting(spool) == ["a"]
        disk.make_room()
        add(state, spool, version("c", bytes(200_000)))
        assert state.problem() is None
        assert waiting(spool) == ["a", "c"]
        with state.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_read_only_disk_fails_as_one_that_may_be_written_again(disk: SmallDisk) -> None:
    """As at a start; what a running agent meets is in test_agents_and_their_disk.py."""
    with closing(StateDatabase(disk.point / "spool.sqlite3")) as state:
        spool = Spool(state)
        add(state, spool, version("a"))
    # With a file open for writing the kernel refuses to remount; a bind mount of its own may be made read-only.
    elsewhere = disk.point.with_name("elsewhere")
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", disk.point, elsewhere], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", elsewhere], check=True)
        with pytest.raises((sqlite3.OperationalError, OSError)):
            StateDatabase(elsewhere / "spool.sqlite3")
        subprocess.run(["mount", "-o", "remount,bind,rw", elsewhere], check=True)
        with closing(StateDatabase(elsewhere / "spool.sqlite3")) as state:
            assert waiting(Spool(state)) == ["a"]
    finally:
        subprocess.run(["umount", elsewhere], check=True)


def test_the_file_and_its_log_stay_near_the_bound_however_much_flows_through(tmp_path: Path) -> None:
    """Sizes that fit pages badly; contents stored, contents dropped, events delivered in between."""
    bound = 8 * MIB
    chance = random.Random(4)
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spool = Spool(state, bound)
        for step in range(400):
            events = (
                version(
                    f"{step}-{number}", bytes(chance.choice([100, 2100, 3000, 4200, 9000, 60_000])), f"os-1-{n}"
                )
                for number in range(8)
                for n in (chance.randrange(20),)
            )
            add(state, spool, *events)
            if step % 5 == 0:
                spool.mark_stored([(event, f"{WORKSPACE}/x") for event in spool.unstored(10, MIB)])
                spool.settle(acknowledged=spool.ready(5, MIB), rejected=[])
        assert spool.backlog().bytes <= bound
        sizes = {one.name: one.stat().st_size for one in tmp_path.iterdir()}
    assert sizes["spool.sqlite3"] <= 2 * bound, sizes
    assert sizes["spool.sqlite3-wal"] <= LOG_BYTES, sizes


def fill(path: Path, events: int, size: int = 3000) -> dict[str, bytes]:
    """A spool as a killed agent leaves it: events, some set aside, another part's table; contents by id."""
    contents = {f"{number:05}": random.Random(number).randbytes(size) for number in range(events)}
    state = StateDatabase(path)
    spool = Spool(state)
    with state.transaction() as transaction:
        transaction.execute("CREATE TABLE captured (path BLOB PRIMARY KEY, digest TEXT) WITHOUT ROWID")
        transaction.executemany(
            "INSERT INTO captured VALUES (?, ?)", ((f"os-1-1/hw1/{n}.c".encode(), "x" * 60) for n in range(2000))
        )
        transaction.execute("CREATE TABLE whole_until (only_row INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL)")
        transaction.execute("INSERT INTO whole_until VALUES (1, ?)", (OCCURRED_NS + 5,))
    add(state, spool, version("aside"))
    spool.settle([], [(spool.ready(1, MIB)[0], "no such class")])
    for name, data in contents.items():
        add(state, spool, version(name, data))
    state.close()
    return contents


def overwrite(path: Path, begin: float, end: float, seed: int = 0) -> None:
    """Random bytes over a part of the file, told in shares of its length."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(begin * size))
        file.write(random.Random(seed).randbytes(int((end - begin) * size)))


def open_after_damage(path: Path) -> tuple[StateDatabase, Spool]:
    """What an agent does at its start."""
    try:
        damage.repair_where_needed(path)
        state = StateDatabase(path)
        try:
            return state, Spool(state)
        except BaseException:
            state.close()
            raise
    except sqlite3.DatabaseError as error:
        assert damage.is_damage(error), error
        damage.mark(path, str(error))
        damage.repair_where_needed(path)
        state = StateDatabase(path)
        return state, Spool(state)


def note_unclean_stop(path: Path) -> None:
    """As if killed: a log that is not empty stands beside the file."""
    path.with_name(path.name + "-wal").write_bytes(b"x" * 10)


@pytest.mark.parametrize(("begin", "end"), [(0.0, 0.01), (0.2, 0.21), (0.5, 0.7), (0.95, 1.0), (0.0, 1.0)])
def test_of_a_damaged_spool_what_can_be_read_goes_on_and_the_loss_is_noted(
    tmp_path: Path, begin: float, end: float
) -> None:
    path = tmp_path / "spool.sqlite3"
    contents = fill(path, 300)
    with closing(sqlite3.connect(path)) as before:
        (last,) = before.execute("SELECT max(sequence) FROM event").fetchone()
    # Where not even the last number can be read, the new spool begins with the time, and these were many at once.
    time.sleep(0.5)
    overwrite(path, begin, end)
    note_unclean_stop(path)
    state, spool = open_after_damage(path)
    with closing(state):
        events = spool.unstored(1000, 1 << 30)
        for event in events:
            assert event.content is not None
            assert event.content.data == contents[event.body["id"]]
            assert event.workspace == WORKSPACE
        with state.reading() as connection:
            (loss,) = losses.noted(connection)
        assert (loss.cause, loss.workspace, loss.total) == ("spool_damaged", "", None)
        assert f"events read from it: {len(events)} waiting" in loss.text
        (aside,) = (one for one in tmp_path.iterdir() if ".damaged-" in one.name and "-wal" not in one.name)
        assert aside.name in loss.text
        if begin >= 0.2:
            # A part in the middle costs about that part.
            assert len(events) >= 300 * (1 - 2 * (end - begin)) - 10
        assert not (tmp_path / "spool.sqlite3.damage").exists()
        add(state, spool, version("after"))
        assert spool.ready(1000, 1 << 30)[-1].sequence > last


def test_damage_that_only_a_mark_tells_of_is_repaired_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    contents = fill(path, 100)
    damage.mark(path, "database disk image is malformed")
    state, spool = open_after_damage(path)
    with closing(state):
        assert {event.body["id"] for event in spool.unstored(1000, 1 << 30)} == set(contents)
        assert spool.backlog().rejected == 1
        with state.reading() as connection:
            assert connection.execute("SELECT count(*) FROM captured").fetchone() == (2000,)
            (loss,) = losses.noted(connection)
        # What waited longest happened before what was noted as whole.
        assert loss.started_ns == OCCURRED_NS


def test_losses_that_were_not_declared_yet_are_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    with closing(StateDatabase(path)) as state:
        spool = Spool(state, 3000)
        add(state, spool, version("a", bytes(9000)), gap("g"))
    damage.mark(path, "for the test")
    state, spool = open_after_damage(path)
    with closing(state), state.reading() as connection:
        assert {loss.cause for loss in losses.noted(connection)} == {"spool_full", "spool_damaged"}


def test_damage_that_is_noticed_while_running_is_marked_for_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    contents = fill(path, 300)
    noticed: list[bool] = []
    with closing(StateDatabase(path)) as state:
        spool = Spool(state)
        state.on_damage = lambda: noticed.append(True)
        overwrite(path, 0.4, 0.6)
        with pytest.raises(sqlite3.DatabaseError):
            spool.unstored(1000, 1 << 30)
        assert noticed
    assert (tmp_path / "spool.sqlite3.damage").exists()
    state, spool = open_after_damage(path)
    with closing(state):
        assert 0 < len(spool.unstored(1000, 1 << 30)) < len(contents)


def test_only_the_newest_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    for day in range(4):
        with closing(StateDatabase(path)) as state:
            Spool(state)
        stamp = f"2026112{day}T000000Z"
        path.with_name("spool.sqlite3.damage").write_text(json.dumps({"stamp": stamp, "reason": "for the test"}))
        damage.repair_where_needed(path)
    kept = sorted(one.name for one in tmp_path.iterdir() if ".damaged-" in one.name)
    assert kept == ["spool.sqlite3.damaged-20261122T000000Z", "spool.sqlite3.damaged-20261123T000000Z"]


KILLED_REPAIR = """
import os, signal, sys
from pathlib import Path
from watcher_agents import damage
calls = 0
def count(frame, event, argument):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return count
sys.settrace(count)
damage.repair_where_needed(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("seed", range(8))
def test_a_repair_that_is_killed_anywhere_is_begun_anew_and_loses_nothing(tmp_path: Path, seed: int) -> None:
    """Killed at a random line of the repair, three times in a row."""
    path = tmp_path / "spool.sqlite3"
    contents = fill(path, 20)
    damage.mark(path, "for the test")
    chance = random.Random(seed)
    killed = 0
    for _ in range(3):
        line = str(chance.randrange(1, 1500))
        done = subprocess.run([sys.executable, "-c", KILLED_REPAIR, path, line], check=False)
        assert done.returncode in (0, -signal.SIGKILL)
        killed += done.returncode != 0
    state, spool = open_after_damage(path)
    with closing(state):
        assert {event.body["id"] for event in spool.unstored(1000, 1 << 30)} == set(contents)
        with state.reading() as connection:
            assert [loss.cause for loss in losses.noted(connection)] == ["spool_damaged"]
    assert killed


WRITER = """
import sys
from pathlib import Path
from lab.spooling import version
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase
state = StateDatabase(Path(sys.argv[1]))
spool = Spool(state, 60_000)
number = 0
while True:
    with state.transaction() as transaction:
        spool.append(transaction, [version(str(number), bytes(2000))])
    print(number, flush=True)
    if number % 3 == 0:
        spool.mark_stored([(event, "os-1-202012180/x") for event in spool.unstored(1, 1)])
    number += 1
"""


@pytest.mark.parametrize("lines", [1, 20, 100, 300])
def test_what_append_returned_for_survives_kill_nine_or_is_noted_as_dropped(tmp_path: Path, lines: int) -> None:
    """With the bound at work and contents being let go of."""
    path = tmp_path / "spool.sqlite3"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        promised = lines + len(process.stdout.read().split(b"\n")) - 1
    with closing(StateDatabase(path)) as state:
        with state.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (held,) = connection.execute("SELECT sum(bytes) FROM event").fetchone()
            noted = losses.noted(connection)
        spool = Spool(state, 60_000)
        assert held == spool.backlog().bytes <= 60_000
        kept = waiting(spool)
        without = [event for event in spool.ready(10_000, 1 << 30) if event.body["content_omitted"]]
    events = sum(loss.events for loss in noted)
    contents = sum(loss.contents for loss in noted)
    assert promised <= len(kept) + events <= promised + 1
    assert kept == [str(number) for number in range(events, events + len(kept))]
    assert len(without) <= contents


def test_a_content_that_the_disk_changed_is_not_taken_for_the_students(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    with closing(StateDatabase(path)) as state:
        add(state, Spool(state), version("a", b"x" * 60_000), version("b", b"y" * 60_000))
    damaged = path.read_bytes().replace(b"x" * 1000, b"x" * 999 + b"z")
    path.write_bytes(damaged)
    with closing(StateDatabase(path)) as state, pytest.raises(sqlite3.DatabaseError, match="event a is not what"):
        Spool(state).unstored(10, MIB)
    state, spool = open_after_damage(path)
    with closing(state):
        assert waiting(spool) == ["b"]
