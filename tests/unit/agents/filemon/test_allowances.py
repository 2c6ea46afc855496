"""Each workspace may cost so much on average, and a burst; who has used it up waits alone."""

import pytest

from lab.set_clock import SetClock
from watcher_agents.filemon.allowances import BURST_SECONDS, Allowances

ONE, OTHER = b"os-1-1", b"os-1-2"


def test_a_burst_is_free_and_then_the_rate_holds() -> None:
    clock = SetClock()
    allowances = Allowances(2.0, 1000.0, clock)
    burst = int(2 * BURST_SECONDS)
    for _ in range(burst):
        assert allowances.seconds_until(ONE) == 0.0
        allowances.spend(ONE, 1)
    assert allowances.seconds_until(ONE) == 0.5
    assert allowances.seconds_until(OTHER) == 0.0
    clock.now += 0.5
    assert allowances.seconds_until(ONE) == 0.0


def test_bytes_are_taken_off_when_they_are_known_and_the_debt_is_waited_for() -> None:
    clock = SetClock()
    allowances = Allowances(100.0, 10.0, clock)
    allowances.spend(ONE, 1, 1000 + 50)
    assert allowances.seconds_until(ONE) == 5.0
    clock.now += 5.0
    assert allowances.seconds_until(ONE) == 0.0


def test_no_more_than_the_burst_is_saved_up_and_a_full_bucket_is_not_kept() -> None:
    clock = SetClock()
    allowances = Allowances(1.0, 1.0, clock)
    for number in range(1000):
        allowances.spend(b"os-1-%d" % number, 1)
    clock.now += 1e6
    for number in range(1000):
        assert allowances.seconds_until(b"os-1-%d" % number) == 0.0
    assert allowances._buckets == {}
    allowances.spend(ONE, int(BURST_SECONDS) + 3)
    assert allowances.seconds_until(ONE) == 4.0


def test_new_rates_hold_at_once() -> None:
    allowances = Allowances(1.0, 1.0, SetClock())
    allowances.spend(ONE, int(BURST_SECONDS), 0)
    assert allowances.seconds_until(ONE) == 1.0
    allowances.use_rates(4.0, 1.0)
    assert allowances.seconds_until(ONE) == pytest.approx(0.25)
