"""When a file is looked at, whose turn it is, and which completed saves can no longer be read."""

from collections.abc import Callable

from lab.set_clock import SetClock
from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.schedule import Activity, Schedule

A = b"os-1-1/hw1/a.c"
B = b"os-1-1/hw1/b.c"


def scheduled(
    clock: Callable[[], float], longest_wait: float = 20, looks_per_second: float = 1e6, max_files: int = 1000
) -> Schedule:
    return Schedule(longest_wait, max_files, Allowances(looks_per_second, 1e9, clock), clock)


def taken(schedule: Schedule, limit: int = 1000) -> list[bytes]:
    return [look.path for look in schedule.take_due(limit)]


def test_a_file_is_due_once_however_many_events_it_had() -> None:
    schedule = scheduled(SetClock())
    for _ in range(3):
        schedule.completed(A)
    assert taken(schedule) == [A]
    assert taken(schedule) == []
    assert len(schedule) == 0
    assert A not in schedule


def test_writing_on_postpones_a_look_and_the_close_brings_it_forward() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    schedule.written(A, 2.0)
    clock.now += 1.5
    schedule.written(A, 2.0)
    clock.now += 1.0
    assert taken(schedule) == []
    assert schedule.seconds_until_due() == 1.0
    schedule.completed(A)
    assert taken(schedule) == [A]


def test_a_file_that_is_written_without_a_pause_is_looked_at_all_the_same_and_taken_as_it_is() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    for _ in range(30):
        schedule.written(A, 2.0)
        clock.now += 1.0
        if looks := schedule.take_due(10):
            break
    assert clock.now == 120.0
    assert looks[0].final


def test_a_file_that_waited_no_longer_than_that_is_not_taken_as_it_is() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    schedule.written(A, 2.0)
    clock.now += 2.0
    (look,) = schedule.take_due(10)
    assert not look.final
    assert look.since == 100.0


def test_a_completed_save_is_lost_when_the_file_is_written_replaced_or_gone_before_the_look() -> None:
    befalls: list[Callable[[Schedule], float | None]] = [
        lambda schedule: schedule.written(A, 2.0),
        lambda schedule: schedule.replaced(A),
        lambda schedule: schedule.vanished(A, 0.5),
    ]
    for befall in befalls:
        schedule = scheduled(SetClock())
        assert befall(schedule) is None
        schedule.completed(A)
        assert befall(schedule) == 100.0
        schedule.completed(A)
        schedule.take_due(10)
        assert befall(schedule) is None


def test_a_loss_may_have_happened_at_any_time_since_the_queue_was_last_known_to_be_empty() -> None:
    schedule = scheduled(SetClock())
    schedule.events_after = 60.0
    schedule.completed(A)
    schedule.events_after = 70.0
    assert schedule.oldest_after() == 60.0
    assert schedule.written(A, 2.0) == 60.0


def test_a_save_is_lost_once_however_often_the_file_is_written_after_it() -> None:
    schedule = scheduled(SetClock())
    schedule.completed(A)
    assert [schedule.written(A, 2.0) for _ in range(3)] == [100.0, None, None]


def test_two_moves_into_place_are_two_saves_and_the_first_is_lost() -> None:
    schedule = scheduled(SetClock())
    assert [schedule.replaced(A) for _ in range(3)] == [None, 100.0, 100.0]


def test_what_a_look_is_told_of_its_file() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    schedule.completed(A)
    (look,) = schedule.take_due(10)
    assert (look.complete, look.recovered) == (True, False)
    schedule.recovers(A)
    (look,) = schedule.take_due(10)
    assert (look.complete, look.recovered) == (False, True)
    schedule.found(A, 0.1, 90.0)
    schedule.taken_along(B, 0.1)
    clock.now += 0.1
    found, taken_along = schedule.take_due(10)
    assert (found.complete, found.recovered, found.after) == (True, False, 90.0)
    assert (taken_along.complete, taken_along.recovered) == (False, False)


def test_what_waits_already_is_not_changed_by_being_found() -> None:
    schedule = scheduled(SetClock())
    schedule.completed(A)
    schedule.recovers(A)
    schedule.found(A, 5.0, 90.0)
    schedule.taken_along(A, 5.0)
    (look,) = schedule.take_due(10)
    assert (look.complete, look.recovered) == (True, False)


def test_what_is_put_back_does_not_replace_something_newer() -> None:
    schedule = scheduled(SetClock())
    schedule.recovers(A)
    (look,) = schedule.take_due(10)
    schedule.completed(A)
    schedule.put_back(look, 5.0)
    (newer,) = schedule.take_due(10)
    assert not newer.recovered


def test_what_is_put_back_keeps_what_it_was_and_since_when_it_waits() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    schedule.recovers(A)
    (look,) = schedule.take_due(10)
    clock.now += 15.0
    schedule.put_back(look, 5.0)
    assert schedule.oldest_after() == 100.0
    assert taken(schedule) == []
    clock.now += 5.0
    (again,) = schedule.take_due(10)
    assert (again.recovered, again.since, again.final) == (True, 100.0, True)
    assert schedule.oldest_after() is None


def test_activity_is_what_events_have_told_since_the_file_was_taken() -> None:
    schedule = scheduled(SetClock())
    assert schedule.activity(A) is Activity.NONE
    schedule.written(A, 2.0)
    assert schedule.activity(A) is Activity.WRITING
    schedule.completed(A)
    assert schedule.activity(A) is Activity.CHANGED
    schedule.written(A, 2.0)
    schedule.vanished(A, 0.5)
    assert schedule.activity(A) is Activity.CHANGED


def test_files_come_in_the_order_in_which_they_were_due_and_no_more_than_asked_for() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    schedule.written(b"os-1-1/hw1/later.c", 2.0)
    schedule.completed(A)
    clock.now += 1
    schedule.completed(B)
    assert schedule.oldest_after() == 100.0
    assert taken(schedule, 1) == [A]
    assert taken(schedule, 5) == [B]
    assert schedule.seconds_until_due() == 1.0


def test_workspaces_get_their_looks_in_turn() -> None:
    schedule = scheduled(SetClock())
    for number in range(100):
        schedule.completed(b"os-1-1/hw1/%d.c" % number)
    schedule.completed(b"os-1-2/hw1/a.c")
    schedule.completed(b"os-1-3/hw1/a.c")
    assert taken(schedule, 4) == [b"os-1-1/hw1/0.c", b"os-1-2/hw1/a.c", b"os-1-3/hw1/a.c", b"os-1-1/hw1/1.c"]


def test_who_has_used_the_allowance_up_waits_and_nobody_else_does() -> None:
    clock = SetClock()
    schedule = scheduled(clock, looks_per_second=1.0)
    for number in range(150):
        schedule.completed(b"os-1-1/hw1/%d.c" % number)
    schedule.completed(b"os-1-2/hw1/a.c")
    assert len(taken(schedule)) == 101
    assert schedule.is_out_of_allowance(A)
    assert not schedule.is_out_of_allowance(b"os-1-2/hw1/a.c")
    assert schedule.seconds_until_due() == 1.0
    assert taken(schedule) == []
    clock.now += 10.0
    assert len(taken(schedule)) == 10


def test_a_file_written_a_million_times_costs_one_place() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    for _ in range(10_000):
        clock.now += 0.0001
        schedule.written(A, 2.0)
    assert len(schedule._heap) == 1


def test_a_file_saved_a_million_times_costs_one_place_also_without_an_allowance() -> None:
    clock = SetClock()
    schedule = scheduled(clock, looks_per_second=0.001)
    schedule._allowances.spend(b"os-1-1", 1000)
    for _ in range(10_000):
        clock.now += 0.0001
        schedule.written(A, 2.0)
        schedule.completed(A)
        assert taken(schedule) == []
    assert len(schedule._heap) + sum(map(len, schedule._ready.values())) <= 2


def test_places_that_looks_have_left_behind_are_gone_when_they_come_up() -> None:
    clock = SetClock()
    schedule = scheduled(clock)
    for _ in range(1000):
        schedule.written(A, 2.0)
        schedule.completed(A)
        assert taken(schedule) == [A]
        clock.now += 0.01
    assert len(schedule._heap) <= 200
    schedule.written(A, 2.0)
    clock.now += 2.0
    assert taken(schedule) == [A]
    clock.now += 2.0
    assert taken(schedule) == []
    assert (len(schedule._heap), len(schedule._ready)) == (0, 0)


def test_so_many_files_of_a_workspace_wait_and_no_more() -> None:
    schedule = scheduled(SetClock(), max_files=2)
    schedule.completed(A)
    assert not schedule.is_full(B)
    schedule.completed(B)
    assert schedule.is_full(b"os-1-1/hw1/c.c")
    assert not schedule.is_full(A)
    assert not schedule.is_full(b"os-1-2/hw1/c.c")
    schedule.take_due(1)
    assert not schedule.is_full(b"os-1-1/hw1/c.c")
