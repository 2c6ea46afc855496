"""What reaches the monitor's thread: in order, bounded, changed mounts once."""

import threading

from watcher_agents.filemon.arrivals import EVENTS_LIMIT, Arrivals, NewRules, Notice
from watcher_agents.filemon.inotify import InotifyEvent, ReadEvents
from watcher_agents.filemon.rules import load_rules

EVENT = InotifyEvent(1, 8, b"a.c")


def test_what_arrives_is_handed_over_in_order() -> None:
    arrivals, rules = Arrivals(), load_rules(None)
    arrivals.put_events(ReadEvents([EVENT], 5.0))
    arrivals.put_rules(rules)
    arrivals.stop()
    assert len(arrivals) == 3
    first = arrivals.get(0)
    assert isinstance(first, ReadEvents)
    assert first.events == [EVENT]
    assert arrivals.get(0) == NewRules(rules)
    assert arrivals.get(0) is Notice.STOP
    assert arrivals.get(0) is None


def test_it_is_full_at_so_many_events_however_few_reads_and_no_longer_when_they_are_taken() -> None:
    arrivals = Arrivals()
    arrivals.put_events(ReadEvents([EVENT] * (EVENTS_LIMIT - 1), 5.0))
    assert not arrivals.is_full
    arrivals.put_events(ReadEvents([EVENT], 5.0))
    assert arrivals.is_full
    arrivals.get(0)
    assert not arrivals.is_full


def test_what_waits_reaches_back_to_before_the_first_of_it() -> None:
    arrivals = Arrivals()
    assert arrivals.oldest_after() is None
    arrivals.put_events(ReadEvents([EVENT], 5.0))
    arrivals.put_events(ReadEvents([EVENT], 6.0))
    arrivals.mounts_changed()
    assert arrivals.oldest_after() == 5.0
    arrivals.get(0)
    assert arrivals.oldest_after() == 6.0
    arrivals.get(0)
    assert arrivals.oldest_after() is None


def test_changed_mounts_are_told_once_until_they_are_taken() -> None:
    arrivals = Arrivals()
    for _ in range(1000):
        arrivals.mounts_changed()
    assert len(arrivals) == 1
    assert arrivals.get(0) is Notice.MOUNTS_CHANGED
    arrivals.mounts_changed()
    assert arrivals.get(0) is Notice.MOUNTS_CHANGED


def test_who_waits_is_woken_by_what_another_thread_puts() -> None:
    arrivals = Arrivals()
    thread = threading.Timer(0.05, arrivals.stop)
    thread.start()
    assert arrivals.get(30.0) is Notice.STOP
    thread.join()


def test_who_waits_for_a_time_is_told_that_there_is_nothing() -> None:
    assert Arrivals().get(0.01) is None
