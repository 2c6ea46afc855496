"""A verification's steps: each is told with its outcome, also the one that failed."""

import pytest

from watcher_agents.node.steps import Step, StepFailed, Steps, wait_for


def test_each_step_is_told_when_it_has_ended() -> None:
    told: list[Step] = []
    steps = Steps(on_step=told.append)
    with steps.step("first") as step:
        assert told == []
        step.detail = "found"
    with pytest.raises(StepFailed), steps.step("second"):
        raise StepFailed("nothing came")
    assert [(step.name, step.ok, step.detail) for step in told] == [
        ("first", True, "found"),
        ("second", False, "nothing came"),
    ]
    assert told == steps.done
    assert not steps.ok


def test_waiting_returns_what_comes_and_fails_with_what_did_not() -> None:
    answers = iter([None, None, "row"])
    assert wait_for(lambda: next(answers), 30.0, lambda: "no row") == "row"
    with pytest.raises(StepFailed, match="no row"):
        wait_for(lambda: None, 0.0, lambda: "no row")
