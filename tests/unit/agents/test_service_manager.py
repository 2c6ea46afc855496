"""What systemd hears from an agent, word for word, at a socket of the test's own."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from watcher_agents.service_manager import TICK_SECONDS, ServiceManager

Heard = Callable[[], list[str]]


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """What has been said since the last call."""
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def words() -> list[str]:
            found = []
            try:
                while True:
                    found.append(listener.recv(4096).decode())
            except BlockingIOError:
                return found

        yield words


def test_readiness_and_the_end_are_told(heard: Heard) -> None:
    manager = ServiceManager()
    assert heard() == []
    manager.ready()
    manager.stopping()
    assert heard() == ["READY=1", "STOPPING=1"]


def test_a_status_is_told_when_it_changes(heard: Heard) -> None:
    manager = ServiceManager()
    for line in ("starting", "starting", "watching 3 workspaces", "starting"):
        manager.status(line)
    assert heard() == ["STATUS=starting", "STATUS=watching 3 workspaces", "STATUS=starting"]


def test_a_status_cannot_smuggle_another_word_in(heard: Heard) -> None:
    ServiceManager().status("backend says no\nSTOPPING=1")
    assert heard() == [r"STATUS=backend says no\nSTOPPING=1"]


def test_a_reload_says_when_it_began_and_ends_with_readiness(heard: Heard) -> None:
    manager = ServiceManager()
    manager.ready()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.reloaded()
    _, reloading, ready = heard()
    word, moment = reloading.split("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before <= int(moment) <= after
    assert ready == "READY=1"


def test_a_reload_before_the_start_is_over_does_not_end_the_start(heard: Heard) -> None:
    manager = ServiceManager()
    manager.reloading()
    manager.reloaded()
    assert heard() == []


@pytest.mark.parametrize(
    ("watchdog", "pid", "words", "tick"),
    [
        ("4000000", None, ["WATCHDOG=1"], 2.0),
        ("4000000", str(os.getpid()), ["WATCHDOG=1"], 2.0),
        ("60000000", None, ["WATCHDOG=1"], TICK_SECONDS),
        ("4000000", "1", [], TICK_SECONDS),
        ("0", None, [], TICK_SECONDS),
        (None, None, [], TICK_SECONDS),
    ],
    ids=["any process", "this process", "slow", "another process", "off", "none"],
)
def test_signs_of_life_are_given_where_the_watchdog_waits_for_this_process_and_twice_in_its_time(
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    watchdog: str | None,
    pid: str | None,
    words: list[str],
    tick: float,
) -> None:
    for name, value in (("WATCHDOG_USEC", watchdog), ("WATCHDOG_PID", pid)):
        if value is not None:
            monkeypatch.setenv(name, value)
    manager = ServiceManager()
    manager.alive()
    assert heard() == words
    assert manager.tick_seconds == tick


def test_without_systemd_nobody_is_told(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET")
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    manager = ServiceManager()
    manager.ready()
    manager.alive()
    assert manager.tick_seconds == 2.0
    assert heard() == []


def test_a_systemd_that_cannot_be_reached_is_logged_and_stops_nothing(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    ServiceManager().ready()
    assert heard() == []
    assert "systemd cannot be told READY" in caplog.text
