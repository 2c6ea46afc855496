"""Students work, faults happen, and what was done is what is stored and what is declared lost.

The faults are in lab/faults.py, the rule in lab/equation.py, what happened in a ledger that the students keep.
Each test is a run with a seed; `make soak` is a long one.
"""

import random

import pytest

from lab.fault_groups import GROUPS
from lab.fault_run import FaultRun, carry_out, told
from lab.faults import fault

FOUND_SEEDS: tuple[tuple[str, str], ...] = (
    # Gaps began when filemon read its queue, and not when the loss happened while it was suspended.
    ("agents", "2"),
)
"""Groups of faults, with the seed of the run that found something."""


def test_without_a_fault_everything_is_recorded_and_no_gap_is_declared() -> None:
    """The only gap there may be is of the restart at the end, and saves that followed each other too fast."""
    run = FaultRun("clean", rest_seconds=0.5)
    verdict = run.run(lambda run, scene: run.hold(scene, 10.0))
    assert verdict.violations == [], told(run, verdict)
    assert verdict.saves > 50, told(run, verdict)
    assert verdict.programs > 15, told(run, verdict)
    assert verdict.declared_saves <= verdict.saves // 50, told(run, verdict)
    assert verdict.declared_programs == 0, told(run, verdict)
    assert verdict.gaps.keys() <= {"agent_stopped", "saves_overtaken"}, told(run, verdict)


@pytest.mark.parametrize(("group", "seed"), [*((group, "1") for group in GROUPS), *FOUND_SEEDS])
def test_every_save_and_program_is_stored_or_declared(group: str, seed: str) -> None:
    faults = [fault(name) for name in GROUPS[group]]
    run = FaultRun(f"{group}/{seed}", by_pods=any(one.needs_pods for one in faults))
    verdict = run.run(carry_out(faults, random.Random(run.seed)))
    assert verdict.violations == [], told(run, verdict)
    assert run.injected == dict.fromkeys(GROUPS[group], 1)
