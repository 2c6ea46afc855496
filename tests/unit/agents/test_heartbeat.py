"""A thread that does not get on is told from one that rests, and from one that waits for a server."""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.waiting import wait_for
from watcher_agents.heartbeat import SILENT_SECONDS, Heartbeat, thread_state


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sleeper() -> Iterator[threading.Thread]:
    """A thread that sleeps until the test ends."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="a) R (thread")
    thread.start()
    yield thread
    over.set()
    thread.join()


def test_a_thread_that_has_not_begun_is_not_stuck() -> None:
    assert not Heartbeat().is_stuck
    assert Heartbeat().problem() is None


def test_a_thread_that_works_without_a_beat_for_too_long_is_stuck_until_the_next(clock: Clock) -> None:
    beats = Heartbeat(clock)
    beats.beat()
    clock.now += SILENT_SECONDS - 1
    assert not beats.is_stuck
    clock.now += 1
    assert beats.is_stuck
    assert beats.problem() == "capture has not got on for 60 s"
    beats.beat()
    assert not beats.is_stuck
    assert beats.problem() is None


def test_a_thread_that_rests_may_do_so_for_ever(clock: Clock) -> None:
    beats = Heartbeat(clock)
    beats.beat()
    beats.rest()
    clock.now += 100 * SILENT_SECONDS
    assert not beats.is_stuck


@pytest.fixture
def uninterruptible(clock: Clock, hung: Path) -> Iterator[Heartbeat]:
    """Of a thread in uninterruptible sleep: its child was to run a program on a file system that hangs."""
    beats = Heartbeat(clock)

    def start_a_program() -> None:
        beats.beat()
        # Not os.posix_spawn, which would keep the interpreter's lock meanwhile.
        arguments = (ctypes.c_char_p * 1)(None)
        child = ctypes.c_int()
        path = os.fsencode(hung / "program")
        assert ctypes.CDLL(None).posix_spawn(ctypes.byref(child), path, None, None, arguments, arguments) == 0
        os.waitpid(child.value, 0)

    thread = threading.Thread(target=start_a_program)
    thread.start()
    wait_for(lambda: thread_state(thread.native_id or 0) == "D", "the thread to wait uninterruptibly")
    yield beats
    child = int(Path(f"/proc/self/task/{thread.native_id}/children").read_text())
    os.kill(child, signal.SIGKILL)
    thread.join()


def test_a_thread_that_waits_for_a_file_system_is_a_problem_but_not_stuck(
    clock: Clock, uninterruptible: Heartbeat
) -> None:
    clock.now += SILENT_SECONDS
    assert not uninterruptible.is_stuck
    assert uninterruptible.problem() == "capture waits for more than 60 s for a file system that does not answer"


def test_the_state_of_a_thread_is_the_kernels_letter(sleeper: threading.Thread) -> None:
    assert sleeper.native_id is not None
    number = sleeper.native_id
    wait_for(lambda: thread_state(number) == "S", "the thread to sleep")
    assert thread_state(threading.get_native_id()) == "R"


def test_a_thread_that_has_ended_has_no_state() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    number = thread.native_id or 0
    # Joined means that Python is through with it; the kernel may be about to be.
    wait_for(lambda: thread_state(number) == "", "the thread to be gone")
