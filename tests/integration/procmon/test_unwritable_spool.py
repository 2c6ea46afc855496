"""While the spool cannot be written nothing stops and nothing is lost silently. On real file systems."""

import errno
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from integration.procmon.spooled_events import gaps, runs, state_of, whole_until
from integration.procmon.student_pod import WORKSPACE, Pod, Recorder
from lab.stack import Stack
from lab.waiting import wait_for
from watcher_agents import wire
from watcher_agents.gaps import Gaps
from watcher_agents.procmon.events import process_event
from watcher_agents.procmon.program_run import Reported
from watcher_agents.procmon.spooling import ProgramSpooler
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase
from watcher_agents.wire import read_boot_id

MIB = 1 << 20


def fill(disk: Path) -> Path:
    """Writes a file until the disk is full, to the last byte."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


@contextmanager
def mounted(directory: Path, *arguments: str) -> Iterator[Path]:
    """A file system mounted at a directory, which is made."""
    directory.mkdir(parents=True)
    subprocess.run(["mount", *arguments, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


class ServiceManager:
    """systemd's side of the notification socket (sd_notify(3)), as far as the status goes."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._status = ""

    def status(self) -> str:
        """The last line that the service has told."""
        while True:
            try:
                words = self._socket.recv(65536).decode()
            except BlockingIOError:
                return self._status
            for word in words.splitlines():
                if word.startswith("STATUS="):
                    self._status = word.removeprefix("STATUS=")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(directory: Path) -> Iterator[ServiceManager]:
    with closing(ServiceManager(directory / "notify")) as listening:
        yield listening


def test_full_disk_delays_and_loses_nothing(
    pod: Pod, testers: Path, directory: Path, manager: ServiceManager
) -> None:
    """Programs are held, the status says so, and when there is room again all are spooled, in order."""
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    with (
        Stack(NOTIFY_SOCKET=str(directory / "notify")) as stack,
        mounted(state_of(stack), "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk,
    ):
        stack.start("procmon")
        pod.run_as_student("./short 1")
        wait_for(lambda: runs(stack, "short"), "the first to be spooled")
        filler = fill(disk)
        pod.run_as_student("for i in $(seq 2 200); do ./short $i; done")
        wait_for(lambda: stack.metric("procmon", "watcher_programs_held") > 0, "programs to be held")
        wait_for(lambda: "cannot be written" in manager.status(), "the status to say so")
        assert manager.status().startswith("PROBLEM ")
        assert "the spool cannot be written (database or disk is full): " in manager.status()
        filler.unlink()
        wait_for(lambda: len(runs(stack, "short")) == 200, "all to be spooled")
        assert [event["exit_code"] for event in runs(stack, "short")] == list(range(1, 201))
        assert stack.metric("procmon", "watcher_programs_held") == 0
        assert stack.metric("procmon", "watcher_programs_dropped_total") == 0
        wait_for(lambda: "cannot be written" not in manager.status(), "the status to be well again")
        assert gaps(stack, "spool_unwritable") == []
        stack.stop("procmon")


def test_read_only_disk_is_survived_and_its_cost_declared(pod: Pod, testers: Path, directory: Path) -> None:
    """Where the kernel has made it read-only the agent goes on and stops in order; a gap covers what was held."""
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    image = directory / "disk"
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with Stack() as stack:
        state = state_of(stack)
        with mounted(state, "-o", "loop", str(image)):
            stack.start("procmon")
            pod.run_as_student("./short 1")
            wait_for(
                lambda: runs(stack, "short") and whole_until(stack), "the first to be spooled, and a note made"
            )
            before = wire.instant(time.time_ns())
            # As errors=remount-ro does it when the disk fails, with files open for writing.
            subprocess.run(["mount", "-o", "remount,abort", state], check=True)
            pod.run_as_student("./short 2; ./short 3")
            wait_for(lambda: stack.metric("procmon", "watcher_programs_held") == 2, "two to be held")
            assert "the spool cannot be written" in stack.log_text("procmon")
            stack.stop("procmon")
        state.rmdir()
        with mounted(state, "-o", "loop", str(image)):
            stack.start("procmon")
            (gap,) = wait_for(lambda: gaps(stack, "agent_stopped"), "the downtime to be declared")
            (first,) = runs(stack, "short")
            stack.stop("procmon")
    assert first["exit_code"] == 1
    # Not from the stop on: from before the two that were held.
    assert gap["started_at"] <= before < gap["occurred_at"]


@pytest.fixture
def programs(pod: Pod, testers: Path, recorder: Recorder) -> list[Reported]:
    """Fifty programs as the capture hands them over; their exit codes tell them apart."""
    shutil.copy(testers / "exit_with", pod.hw1 / "short")
    pod.run_as_student("for i in $(seq 50); do ./short $i; done")
    wait_for(lambda: len(recorder.runs("short")) == 50, "the programs to be reported")
    return recorder.runs("short")


@contextmanager
def running(spooler: ProgramSpooler) -> Iterator[None]:
    """A spooler's thread; what leaves it is raised here."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        ended = thread.submit(spooler.run)
        try:
            yield
        finally:
            spooler.finish()
            ended.result(timeout=30)


def test_what_does_not_fit_is_dropped_oldest_first_and_declared(programs: list[Reported], directory: Path) -> None:
    """Of 50 programs while there is room for 10 the last 10 are spooled, and 40 are declared as the student's."""
    with (
        mounted(directory / "disk", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk,
        closing(StateDatabase(disk / "spool.sqlite3")) as state,
    ):
        spool = Spool(state)
        declared = Gaps(state, spool, "procmon", "worker-1", CollectorRegistry())

        def write(programs: list[Reported]) -> None:
            with state.transaction() as transaction:
                spool.append(transaction, [(process_event(program, read_boot_id()), None) for program in programs])

        spooler = ProgramSpooler(write, declared, held_programs=10)
        filler = fill(disk)
        with running(spooler):
            spooler.add(programs[:1])
            wait_for(spooler.problem, "the first failure")
            for program in programs[1:]:
                spooler.add([program])
            assert (spooler.held, spooler.dropped) == (10, 40)
            assert spooler.oldest_ns() == nanoseconds(programs[40][0].ended_at)
            filler.unlink()
            wait_for(lambda: spooler.held == 0, "what was held to be spooled")
            assert spooler.problem() is None
        declared.settle(final=True)
        events = [event.body for event in spool.ready(100, MIB)]
    *kept, gap = events
    assert [event["exit_code"] for event in kept] == list(range(41, 51))
    assert (gap["cause"], gap["events_lost"], gap["student_id"]) == ("spool_unwritable", 40, int(WORKSPACE[5:]))
    assert (gap["started_at"], gap["occurred_at"]) == (
        wire.format_instant(programs[0][0].ended_at),
        wire.format_instant(programs[39][0].ended_at),
    )
    assert "database or disk is full" in gap["detail"]


def test_memory_of_what_is_held_is_bounded_in_bytes(programs: list[Reported], tmp_path: Path) -> None:
    """Not the number alone: a student's arguments may be long."""
    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        declared = Gaps(state, Spool(state), "procmon", "worker-1", CollectorRegistry())
        spooler = ProgramSpooler(refuse, declared, held_bytes=5 * programs[-1][0].weight)
        spooler.add(programs)
    assert (spooler.held, spooler.dropped) == (5, 45)


def refuse(programs: list[Reported]) -> None:
    """A disk that takes nothing."""
    raise sqlite3.OperationalError(f"no room for {len(programs)}")


def test_slow_disk_does_not_hold_up_capture(programs: list[Reported], tmp_path: Path) -> None:
    """While one batch is being written others are taken over; nothing is written twice or out of order."""
    go_on = threading.Event()
    written: list[Reported] = []

    def slowly(batch: list[Reported]) -> None:
        assert go_on.wait(30)
        written.extend(batch)

    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        declared = Gaps(state, Spool(state), "procmon", "worker-1", CollectorRegistry())
        spooler = ProgramSpooler(slowly, declared)
        with running(spooler):
            for program in programs:
                spooler.add([program])
            assert spooler.held == 50
            go_on.set()
    assert written == programs


def test_damaged_file_ends_the_agent(programs: list[Reported], tmp_path: Path) -> None:
    """What no waiting mends is not waited for: the next start sets the file aside."""
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no database" * 1000)

    def into_garbage(batch: list[Reported]) -> None:
        with closing(sqlite3.connect(garbage)) as connection:
            connection.execute("INSERT INTO event VALUES (?)", (len(batch),))

    with closing(StateDatabase(tmp_path / "spool.sqlite3")) as state:
        spooler = ProgramSpooler(
            into_garbage, Gaps(state, Spool(state), "procmon", "worker-1", CollectorRegistry())
        )
        spooler.add(programs)
        spooler.finish()
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            spooler.run()


def nanoseconds(moment: datetime) -> int:
    """Since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000
