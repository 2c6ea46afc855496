"""Losses are told while they are news."""

from watcher_agents.procmon.recent_losses import RECENT_SECONDS, RecentLosses


def test_a_loss_is_told_for_an_hour_after_the_last_of_its_kind() -> None:
    now = 0.0
    losses = RecentLosses(lambda: now)
    assert losses.problem({"exec_ring_full": 0, "evicted": 0}) is None
    assert losses.problem({"exec_ring_full": 2, "evicted": 0}) == "programs lost, last 0 s ago: exec_ring_full=2"
    now = RECENT_SECONDS - 1
    assert losses.problem({"exec_ring_full": 2, "evicted": 1}) == (
        "programs lost, last 0 s ago: exec_ring_full=2 evicted=1"
    )
    now += RECENT_SECONDS - 1
    assert losses.problem({"exec_ring_full": 2, "evicted": 1}) == (
        f"programs lost, last {RECENT_SECONDS - 1:.0f} s ago: exec_ring_full=2 evicted=1"
    )
    now += 1
    assert losses.problem({"exec_ring_full": 2, "evicted": 1}) is None


def test_after_a_quiet_hour_only_what_is_new_is_told() -> None:
    now = 0.0
    losses = RecentLosses(lambda: now)
    losses.problem({"exit_ring_full": 5})
    now = RECENT_SECONDS
    assert losses.problem({"exit_ring_full": 5}) is None
    assert losses.problem({"exit_ring_full": 6}) == "programs lost, last 0 s ago: exit_ring_full=1"


def test_a_part_that_a_student_made_unreadable_is_no_loss_of_a_program() -> None:
    partial = {"exe_unreadable": 1, "cwd_unreadable": 1, "argv_unreadable": 1}
    assert RecentLosses().problem(partial) is None
