"""Blindness is told at once, then once an hour while it lasts; scanned meanwhile, and declared as a gap each."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from lab.set_clock import SetClock
from watcher_agents.filemon.blindness import REPEAT_SECONDS, SCAN_SECONDS, Blindness
from watcher_agents.filemon.catch_up import Tally
from watcher_agents.gaps import Gaps
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

SEVEN, EIGHT = b"os-1-7", b"os-1-8"
REASONS = {SEVEN: "mounted at /p with soft against hard", EIGHT: "the same"}


@pytest.fixture
def gaps(state: StateDatabase, spool: Spool) -> Gaps:
    return Gaps(state, spool, "filemon", "worker-1", CollectorRegistry())


@pytest.fixture
def clock() -> SetClock:
    return SetClock(5.0)


@pytest.fixture
def blindness(gaps: Gaps, clock: SetClock) -> Blindness:
    return Blindness(gaps, clock)


def told(blindness: Blindness, caplog: pytest.LogCaptureFixture) -> int:
    """How many lines telling it now makes, each an error."""
    caplog.clear()
    blindness.tell_where_due()
    assert all(entry.levelno == logging.ERROR for entry in caplog.records)
    return len(caplog.records)


def declared(gaps: Gaps, spool: Spool) -> list[tuple[object, ...]]:
    """The gaps that were spooled."""
    gaps.settle(final=True)
    fields = ("cause", "student_id", "files_seen", "files_recovered", "detail")
    return [tuple(event.body[field] for field in fields) for event in spool.ready(100, 1 << 20)]


def test_nothing_is_told_where_all_is_seen(blindness: Blindness, caplog: pytest.LogCaptureFixture) -> None:
    assert told(blindness, caplog) == 0
    assert (len(blindness), blindness.problem(), blindness.seconds_until_due()) == (0, None, None)


def test_blindness_is_told_at_once_and_then_each_hour(
    blindness: Blindness, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    blindness.found(REASONS)
    assert blindness.seconds_until_due() == 0.0
    assert told(blindness, caplog) == 1
    assert told(blindness, caplog) == 0
    clock.now += REPEAT_SECONDS - 10
    blindness.found(REASONS)
    assert told(blindness, caplog) == 0
    clock.now += 10
    assert told(blindness, caplog) == 1


def test_the_problem_counts_the_workspaces_and_explains_one(blindness: Blindness) -> None:
    blindness.found(REASONS)
    assert len(blindness) == 2
    assert blindness.problem() == (
        "inotify is blind to 2 workspaces: their pods' mounts share no superblock with the watch root"
        " (os-1-7: mounted at /p with soft against hard); scanned every 30 s instead"
    )
    blindness.found({})
    assert blindness.problem() is None


def test_what_is_blind_is_scanned_from_time_to_time_and_not_again_while_that_goes_on(
    blindness: Blindness, clock: SetClock
) -> None:
    blindness.found(REASONS)
    assert blindness.due() == []
    clock.now += SCAN_SECONDS * 1.2
    assert sorted(blindness.due()) == [SEVEN, EIGHT]
    assert blindness.due() == []
    blindness.scanned(SEVEN, Tally())
    assert blindness.due() == []
    clock.now += SCAN_SECONDS * 1.2
    assert blindness.due() == [SEVEN]


def test_scans_are_not_all_at_the_same_time(gaps: Gaps, clock: SetClock) -> None:
    """Nodes that turn blind together, because a server was reconfigured, must not scan it together."""
    due = set()
    for _ in range(20):
        blindness = Blindness(gaps, clock)
        blindness.found({SEVEN: "x"})
        due.add(blindness._blind[SEVEN].scan_at)
    assert len(due) == 20
    assert all(clock.now + SCAN_SECONDS * 0.8 <= moment <= clock.now + SCAN_SECONDS * 1.2 for moment in due)


def test_each_is_a_gap_that_ends_when_it_is_seen_again_with_what_the_scans_found(
    blindness: Blindness, clock: SetClock, gaps: Gaps, spool: Spool
) -> None:
    blindness.found(REASONS)
    assert declared(gaps, spool) == []
    assert [gap.cause for gap in blindness.gaps()] == ["blind_mount", "blind_mount"]
    for recovered in (1, 2):
        clock.now += SCAN_SECONDS * 1.2
        blindness.due()
        blindness.scanned(SEVEN, Tally(10, recovered))
    assert blindness.found({EIGHT: "the same"}) == [SEVEN]
    assert declared(gaps, spool) == [("blind_mount", 7, 10, 3, REASONS[SEVEN])]
    assert len(blindness) == 1
    # Of a scan that ends only now.
    blindness.scanned(SEVEN, Tally(1, 1))
    assert len(blindness) == 1


def test_a_long_one_is_a_gap_each_hour(blindness: Blindness, clock: SetClock, gaps: Gaps, spool: Spool) -> None:
    blindness.found({SEVEN: "x"})
    clock.now += REPEAT_SECONDS
    blindness.due()
    blindness.scanned(SEVEN, Tally(4, 1))
    assert declared(gaps, spool) == [("blind_mount", 7, 4, 1, "x")]
    assert [gap.cause for gap in blindness.gaps()] == ["blind_mount"]
    blindness.found({})
    assert declared(gaps, spool)[1:] == [("blind_mount", 7, 0, 0, "x")]


def test_all_blind_is_one_gap_of_the_node(blindness: Blindness, gaps: Gaps, spool: Spool) -> None:
    blindness.found({b"": "x"})
    assert str(blindness.problem()).startswith("inotify is blind to all workspaces")
    blindness.found({})
    assert declared(gaps, spool) == [("blind_mount", None, 0, 0, "x")]
