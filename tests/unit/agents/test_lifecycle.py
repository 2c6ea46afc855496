"""The main thread ticks, reloads as often as it is told, and ends when it is told to or a thread fails."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from watcher_agents.lifecycle import Lifecycle

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def lifecycle() -> Iterator[Lifecycle]:
    former = {number: signal.getsignal(number) for number in SIGNALS}
    waiting = Lifecycle()
    waiting.stop_on_signals()
    waiting.reload_on_signal()
    yield waiting
    for number, handler in former.items():
        signal.signal(number, handler)


def kill(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def nothing() -> None:
    raise AssertionError("not to be called")


def test_it_ticks_until_it_is_told_to_stop(lifecycle: Lifecycle) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(len(ticks))
        if len(ticks) == 3:
            kill(signal.SIGTERM)()

    lifecycle.wait(0.001, tick, nothing)
    assert ticks == [0, 1, 2]
    assert lifecycle.exit_code == 0


def test_each_sighup_reloads_and_none_ends_it(lifecycle: Lifecycle) -> None:
    reloads: list[int] = []

    def reload() -> None:
        reloads.append(len(reloads))
        kill(signal.SIGHUP if len(reloads) < 3 else signal.SIGINT)()

    kill(signal.SIGHUP)()
    lifecycle.wait(60.0, nothing, reload)
    assert reloads == [0, 1, 2]
    assert lifecycle.exit_code == 0


def test_a_thread_that_fails_ends_it_with_an_error(lifecycle: Lifecycle, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("out of order")

    thread = lifecycle.run_thread("monitor", fail)
    lifecycle.wait(60.0, nothing, nothing)
    thread.join()
    assert lifecycle.exit_code == 1
    assert "thread monitor failed" in caplog.text
    assert "out of order" in caplog.text


def test_a_thread_that_ends_in_order_does_not_end_it(lifecycle: Lifecycle) -> None:
    done = threading.Event()
    lifecycle.run_thread("scan", done.set).join()
    assert done.is_set()
    lifecycle.wait(0.001, kill(signal.SIGTERM), nothing)
    assert lifecycle.exit_code == 0
