"""A sink that fails or hangs is told, with the time and the reason, until it takes something again."""

from watcher_agents.sink_state import HANG_SECONDS, SinkState


def test_a_sink_is_failing_from_the_first_failure_to_the_next_success() -> None:
    now = 100.0
    sink = SinkState("backend", lambda: now)
    assert sink.problem() is None
    sink.begun()
    now += 2
    sink.failed("refused")
    now += 3
    assert sink.problem() == "backend failing for 5 s (refused), nothing is lost"
    sink.begun()
    sink.failed("HTTP 500: no")
    assert sink.problem() == "backend failing for 5 s (HTTP 500: no), nothing is lost"
    sink.begun()
    sink.succeeded()
    assert sink.problem() is None


def test_a_sink_that_neither_takes_nor_refuses_hangs() -> None:
    now = 100.0
    sink = SinkState("snapshot_volume", lambda: now)
    sink.begun()
    now += HANG_SECONDS - 1
    assert sink.problem() is None
    now += 1
    assert sink.problem() == "snapshot_volume has not answered for 30 s, nothing is lost"
    sink.succeeded()
    now += 1000
    assert sink.problem() is None
