"""Real agents whose spool's disk fails: they say so, lose nothing silently, and go on."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab.small_disk import SmallDisk, small_disk
from lab.stack import Stack
from lab.waiting import wait_for

WORKSPACE = "os-1-202012180"
TOKEN = "token-that-nobody-may-see"
BIN = Path(sys.executable).parent


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(WATCHER_API_TOKEN=TOKEN, WATCHER_WORKSPACES="all", WATCHER_LOG_LEVEL="DEBUG") as running:
        (running.workspaces / WORKSPACE / "hw1").mkdir(parents=True)
        yield running


@pytest.fixture
def disk(stack: Stack) -> Iterator[SmallDisk]:
    """The disk of filemon's state directory."""
    with small_disk(stack.directory / "state" / "filemon", "64m") as made:
        yield made


def save(stack: Stack, name: str, text: str) -> None:
    (stack.workspaces / WORKSPACE / "hw1" / name).write_text(text)


def contents(stack: Stack) -> set[str]:
    return {
        stack.content(event["id"]).decode()
        for event in stack.events()
        if event["type"] == "snapshot" and event["snapshot_path"]
    }


def gaps(stack: Stack, cause: str) -> list[dict[str, Any]]:
    return [gap for gap in stack.get("/api/v1/gaps")["gaps"] if gap["cause"] == cause]


def start_in_vain(stack: Stack) -> tuple[int, list[str]]:
    """Exit code and the lines of one start that must fail."""
    done = subprocess.run(
        [BIN / "watcher-filemon"],
        env=stack.environment("filemon"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_a_spool_that_cannot_be_opened_for_now_ends_the_start_with_1_and_one_line(
    stack: Stack, disk: SmallDisk
) -> None:
    disk.fill()
    code, lines = start_in_vain(stack)
    assert code == 1
    (line,) = [line for line in lines if " - INFO - " not in line and " - DEBUG - " not in line]
    assert f"the spool {disk.point}/spool.sqlite3 cannot be opened: " in line
    disk.make_room()
    subprocess.run(["mount", "-o", "remount,ro", disk.point], check=True)
    assert start_in_vain(stack)[0] == 1
    subprocess.run(["mount", "-o", "remount,rw", disk.point], check=True)
    stack.start("filemon")


def test_a_disk_that_is_full_for_a_while_ends_nothing_and_loses_no_latest_content(
    stack: Stack, disk: SmallDisk
) -> None:
    stack.start("backend", "filemon")
    save(stack, "a.c", "int a;\n")
    wait_for(lambda: contents(stack) == {"int a;\n"}, "the first save")
    process = stack.pid("filemon")
    disk.fill()
    # Together more than the room that the log has left; one transaction of them fits the disk once there is room.
    for number in range(200):
        save(stack, f"b{number}.c", f"/* {number} */" + "x" * 30_000)
    wait_for(lambda: stack.metric("filemon", "watcher_spool_writable") == 0, "the metric to tell it", 60.0)
    disk.make_room()
    wait_for(lambda: len(contents(stack)) == 201, "every latest content", 120.0)
    wait_for(lambda: stack.metric("filemon", "watcher_spool_writable") == 1, "the metric to be well", 60.0)
    assert stack.pid("filemon") == process
    assert len([event for event in stack.events() if event["type"] == "snapshot"]) == 201


def test_a_damaged_spool_is_set_aside_by_the_next_start_and_declared(stack: Stack) -> None:
    stack.start("backend", "filemon")
    save(stack, "a.c", "int a;\n")
    wait_for(lambda: contents(stack) == {"int a;\n"}, "the first save")
    stack.stop("backend")
    for number in range(50):
        save(stack, f"b{number}.c", f"int b{number};\n" * 50)
    wait_for(lambda: stack.metric("filemon", "watcher_spool_events") >= 50, "the saves to wait")
    stack.kill("filemon")
    path = stack.directory / "state" / "filemon" / "spool.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(random.Random(1).randbytes(size // 4))
    path.with_name("spool.sqlite3-wal").write_bytes(b"x")
    stack.start("backend", "filemon")
    (gap,) = wait_for(lambda: gaps(stack, "spool_damaged"), "the gap")
    assert gap["events_lost"] is None
    (aside,) = (one.name for one in path.parent.iterdir() if one.name.startswith("spool.sqlite3.damaged-"))
    assert aside in gap["detail"]
    save(stack, "c.c", "int c;\n")
    wait_for(lambda: "int c;\n" in contents(stack), "the save after it")


def test_damage_that_is_noticed_while_running_ends_the_agent_with_1(stack: Stack) -> None:
    stack.start("filemon")
    for number in range(30):
        save(stack, f"b{number}.c", f"int b{number};\n" * 50)
    wait_for(lambda: stack.metric("filemon", "watcher_spool_events") >= 30, "the saves to wait")
    path = stack.directory / "state" / "filemon" / "spool.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE event SET body = x'00ff'")
        connection.commit()
    process = stack.pid("filemon")
    wait_for(lambda: path.with_name("spool.sqlite3.damage").exists(), "the mark", 60.0)
    wait_for(lambda: Path(f"/proc/{process}/stat").read_text().split()[2] == "Z", "filemon to end", 60.0)
    assert f"{path} is damaged" in stack.log_text("filemon")
    stack.kill("filemon")
    stack.start("backend", "filemon")
    wait_for(lambda: gaps(stack, "spool_damaged"), "the gap")


def test_a_flood_is_bounded_declared_and_told(stack: Stack) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", stack.snapshots], check=True)
    try:
        _flood(stack)
    finally:
        subprocess.run(["umount", "--lazy", stack.snapshots], check=True)


def _flood(stack: Stack) -> None:
    """With a snapshot volume that cannot be written to for a while."""
    bound = 8 * 1024 * 1024
    environment = stack.environment("filemon") | {"WATCHER_SPOOL_BYTES": str(bound)}
    log = stack.directory / "flood.log"
    with (
        log.open("wb") as output,
        subprocess.Popen([BIN / "watcher-filemon"], env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            wait_for(lambda: " ready: " in log.read_text(), "filemon to be ready")
            subprocess.run(["mount", "-o", "remount,ro", stack.snapshots], check=True)
            for number in range(220):
                save(stack, f"f{number}.c", f"/* {number} */" + "x" * 60_000)
            wait_for(lambda: stack.metric("filemon", "watcher_spool_events") >= 220, "the saves", 60.0)
            assert stack.metric("filemon", "watcher_spool_bytes") <= bound
            assert stack.metric("filemon", "watcher_spool_limit_bytes") == bound
            wait_for(lambda: "gap: cause=spool_full" in log.read_text(), "the gap", 60.0)
        finally:
            process.terminate()
    assert process.returncode == 0
    subprocess.run(["mount", "-o", "remount,rw", stack.snapshots], check=True)
    stack.start("backend", "filemon")
    wait_for(lambda: stack.metric("filemon", "watcher_spool_events") == 0, "all to be delivered", 60.0)
    saved = [event for event in stack.events() if event["type"] == "snapshot"]
    lost = sum(gap["events_lost"] for gap in gaps(stack, "spool_full"))
    omitted = [event for event in saved if event["content_omitted"] == "spool_full"]
    assert len(saved) == 220
    assert len(omitted) == lost > 0
    assert all(event["sha256"] and event["snapshot_path"] is None for event in omitted)


def test_the_token_is_nowhere_but_in_the_environment(stack: Stack) -> None:
    """Logs at DEBUG, arguments, metrics, spool, settings' check, and a crash of the sender."""
    stack.start("filemon")
    save(stack, "a.c", "int a;\n")
    wait_for(lambda: "backend failed" in stack.log_text("filemon"), "a failing delivery")
    pid = stack.pid("filemon")
    assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert TOKEN.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    port = stack.metrics_ports["filemon"]
    metrics = subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/metrics"], capture_output=True, check=True)
    assert b"watcher_spool_events" in metrics.stdout
    assert TOKEN.encode() not in metrics.stdout
    checked = subprocess.run(
        [BIN / "watcher-filemon", "--check-settings"],
        env=stack.environment("filemon"),
        capture_output=True,
        check=True,
    )
    assert TOKEN.encode() not in checked.stdout + checked.stderr
    path = stack.directory / "state" / "filemon" / "spool.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE event SET body = x'00ff'")
        connection.commit()
    wait_for(lambda: path.with_name("spool.sqlite3.damage").exists(), "the crash", 60.0)
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z", "filemon to end", 60.0)
    assert "Traceback" in stack.log_text("filemon")
    assert TOKEN not in stack.log_text("filemon")
    for one in path.parent.iterdir():
        assert TOKEN.encode() not in one.read_bytes(), one


def test_a_crash_leaves_no_core(stack: Stack) -> None:
    stack.start("filemon")
    for pid, name in ((stack.pid("filemon"), "filemon"),):
        resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert not _dumps_core(pid), name
    with subprocess.Popen(["sleep", "60"], cwd=stack.directory) as other:
        resource.prlimit(other.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # The proof proves something: this one would have left a core.
        assert _dumps_core(other.pid)


def _dumps_core(pid: int) -> bool:
    os.kill(pid, signal.SIGSEGV)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return os.WCOREDUMP(status)
