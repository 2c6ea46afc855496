"""Processes that are there already, read from the real /proc."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.waiting import wait_for
from watcher_agents.procmon.clock import TICK_NS
from watcher_agents.procmon.running import running_processes, start_boottime


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that waits, in a directory and with arguments of its own."""
    process = subprocess.Popen(["/usr/bin/sleep", "1000"], cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def test_start_is_in_the_past_and_in_whole_ticks(sleeper: "subprocess.Popen[bytes]") -> None:
    """Boot time in ns, of the very process."""
    start = start_boottime(sleeper.pid)
    assert start is not None
    assert start % TICK_NS == 0
    own = start_boottime(os.getpid())
    assert own is not None
    assert own <= start


def test_process_that_has_ended_has_no_start(sleeper: "subprocess.Popen[bytes]") -> None:
    """Neither as a zombie nor afterwards."""
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert start_boottime(sleeper.pid) is None
    sleeper.wait()
    assert start_boottime(sleeper.pid) is None


def test_zombie_leader_of_living_threads_is_alive(tmp_path: Path) -> None:
    """Where only the first thread has ended, the process is there, whatever its name: `) R 1 (` among them."""
    after_name = "Z 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 4242 0 0"
    entry = tmp_path / "77"
    entry.mkdir()
    for threads, start in ((3, 4242 * TICK_NS), (1, None)):
        (entry / "stat").write_text(f"77 (a) R 1 (b) {after_name.format(threads=threads)}\n")
        assert start_boottime(77, tmp_path) == start


def test_processes_of_this_machine_are_described(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """By hostname; what is told of one is what is known of it."""
    found = {process.pid: process for process in running_processes(socket.gethostname())}
    described = found[sleeper.pid]
    assert described.argv == ("/usr/bin/sleep", "1000")
    assert described.hostname == socket.gethostname()
    assert described.binary_path == str(Path("/usr/bin/sleep").resolve())
    assert described.cwd.endswith(str(tmp_path).removeprefix("/tmp"))
    assert described.start_boottime == start_boottime(sleeper.pid)
    assert not described.truncated


def test_process_with_a_root_of_its_own_is_described_by_its_file_system(tmp_path: Path) -> None:
    """Its links show the way from the top, its mountinfo the one from its root: the two are brought together."""
    script = 'mount --bind / "$1"; echo mounted; exec chroot "$1" /usr/bin/sleep 1000'
    command = ["/usr/bin/unshare", "--mount", "/bin/sh", "-ec", script, "sh", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"mounted\n"
            exe = Path(f"/proc/{process.pid}/exe")
            wait_for(lambda: exe.readlink().name == "sleep", "the program to start")
            (found,) = (each for each in running_processes(socket.gethostname()) if each.pid == process.pid)
        finally:
            process.kill()
    assert found.binary_path == str(Path("/usr/bin/sleep").resolve())
    assert found.cwd == "/"


def test_other_hostnames_are_left_out() -> None:
    """A prefix that no machine has finds nothing, though all of /proc was looked at."""
    assert list(running_processes("no-machine-is-called-this-")) == []


def test_processes_that_end_meanwhile_are_left_out(sleeper: "subprocess.Popen[bytes]") -> None:
    """Listed and gone before it is read: no error and no description."""
    processes = running_processes(socket.gethostname())
    next(processes)
    sleeper.kill()
    sleeper.wait()
    assert sleeper.pid not in {process.pid for process in processes}


def test_long_command_line_is_flagged() -> None:
    """What is longer than the probe carries is cut at the same length."""
    process = subprocess.Popen(["/usr/bin/sleep", "1000", *["1"] * 20000])
    try:
        (found,) = (each for each in running_processes(socket.gethostname()) if each.pid == process.pid)
    finally:
        process.kill()
        process.wait()
    assert found.truncated
    assert sum(len(argument) + 1 for argument in found.argv) == 16384
