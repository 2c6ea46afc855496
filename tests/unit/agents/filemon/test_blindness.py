"""Blindness is told at once, then once an hour while it lasts."""

import logging

import pytest

from watcher_agents.filemon.blindness import REPEAT_SECONDS, Blindness

REASONS = {b"os-1-7": "mounted at /p with soft against hard", b"os-1-8": "the same"}


class Clock:
    """A clock that the test sets."""

    now = 5.0

    def __call__(self) -> float:
        return self.now


def told(blindness: Blindness, caplog: pytest.LogCaptureFixture) -> int:
    """How many lines telling it now makes, each an error."""
    caplog.clear()
    blindness.tell_where_due()
    assert all(entry.levelno == logging.ERROR for entry in caplog.records)
    return len(caplog.records)


def test_nothing_is_told_where_all_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    blindness = Blindness()
    assert told(blindness, caplog) == 0
    assert (len(blindness), blindness.problem(), blindness.seconds_until_due()) == (0, None, None)


def test_blindness_is_told_at_once_and_then_each_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    blindness = Blindness(clock)
    blindness.found(REASONS)
    assert told(blindness, caplog) == 1
    assert told(blindness, caplog) == 0
    clock.now += REPEAT_SECONDS - 10
    blindness.found(REASONS)
    assert told(blindness, caplog) == 0
    assert blindness.seconds_until_due() == 10
    clock.now += 10
    assert told(blindness, caplog) == 1


def test_the_problem_counts_the_workspaces_and_explains_one() -> None:
    blindness = Blindness()
    blindness.found(REASONS)
    assert len(blindness) == 2
    assert blindness.problem() == (
        "inotify is blind to 2 workspaces: their pods' mounts share no superblock with the watch root"
        " (os-1-7: mounted at /p with soft against hard)"
    )
    blindness.found({})
    assert blindness.problem() is None
