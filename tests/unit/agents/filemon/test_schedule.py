"""When a file is looked at."""

from watcher_agents.filemon.schedule import Schedule


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_due_once_however_many_events_it_had() -> None:
    schedule = Schedule(20, Clock())
    for _ in range(3):
        schedule.put(b"a.c", 0.0)
    assert [look.path for look in schedule.take_due(10)] == [b"a.c"]
    assert schedule.take_due(10) == []
    assert len(schedule) == 0


def test_writing_on_postpones_a_look_and_the_close_brings_it_forward() -> None:
    clock = Clock()
    schedule = Schedule(20, clock)
    schedule.put(b"a.c", 2.0)
    clock.now += 1.5
    schedule.put(b"a.c", 2.0)
    clock.now += 1.0
    assert schedule.take_due(10) == []
    schedule.put(b"a.c", 0.0)
    assert [look.path for look in schedule.take_due(10)] == [b"a.c"]


def test_a_file_that_is_written_without_a_pause_is_looked_at_all_the_same_and_taken_as_it_is() -> None:
    clock = Clock()
    schedule = Schedule(20, clock)
    for _ in range(30):
        schedule.put(b"a.c", 2.0)
        clock.now += 1.0
        if looks := schedule.take_due(10):
            break
    assert clock.now == 120.0
    assert looks[0].final


def test_a_save_that_the_next_one_overtook_is_noticed() -> None:
    schedule = Schedule(20, Clock())
    assert not schedule.put(b"a.c", 0.0, complete=True)
    assert not schedule.put(b"a.c", 2.0)
    assert schedule.put(b"a.c", 0.0, complete=True)
    schedule.take_due(10)
    assert not schedule.put(b"a.c", 0.0, complete=True)


def test_what_is_put_back_does_not_replace_something_newer() -> None:
    clock = Clock()
    schedule = Schedule(20, clock)
    schedule.put(b"a.c", 0.0, recovered=True)
    (look,) = schedule.take_due(10)
    schedule.put(b"a.c", 0.0)
    schedule.put_back(look, 5.0)
    (newer,) = schedule.take_due(10)
    assert not newer.recovered


def test_files_come_in_the_order_in_which_they_were_due_and_no_more_than_asked_for() -> None:
    clock = Clock()
    schedule = Schedule(20, clock)
    schedule.put(b"later.c", 2.0)
    schedule.put(b"first.c", 0.0)
    clock.now += 1
    schedule.put(b"second.c", 0.0)
    assert [look.path for look in schedule.take_due(1)] == [b"first.c"]
    assert [look.path for look in schedule.take_due(5)] == [b"second.c"]
    assert schedule.seconds_until_due() == 1.0


def test_a_file_written_a_million_times_costs_one_place() -> None:
    clock = Clock()
    schedule = Schedule(20, clock)
    for _ in range(10_000):
        clock.now += 0.0001
        schedule.put(b"a.c", 2.0)
    assert len(schedule._heap) == 1
