"""Named moments."""

from lab.set_clock import SetClock
from watcher_agents.filemon.timers import Timers


def test_a_moment_is_due_once_when_it_has_come() -> None:
    clock = SetClock()
    timers = Timers(clock)
    timers.set("a", 5.0)
    assert timers.is_set("a")
    assert not timers.is_due("a")
    clock.now += 5.0
    assert timers.is_due("a")
    assert not timers.is_due("a")
    assert not timers.is_set("a")


def test_setting_again_replaces_and_setting_unless_set_does_not() -> None:
    clock = SetClock()
    timers = Timers(clock)
    timers.set("a", 5.0)
    timers.set_unless_set("a", 1.0)
    assert timers.seconds_until_due() == 5.0
    timers.set("a", 1.0)
    assert timers.seconds_until_due() == 1.0
    timers.set_unless_set("b", 0.5)
    assert timers.seconds_until_due() == 0.5


def test_what_is_late_is_due_at_once_and_nothing_is_due_never() -> None:
    clock = SetClock()
    timers = Timers(clock)
    assert timers.seconds_until_due() is None
    assert not timers.is_due("never set")
    timers.set("a", 1.0)
    clock.now += 3.0
    assert timers.seconds_until_due() == 0.0
