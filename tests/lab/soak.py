"""`make soak MINUTES=n [SEED=s]`: students at work for so long, fault after fault, and then the equation.

Ends with a table of figures and 0, or 1 where something does not add up or memory grows. In the first half every
fault comes, in the second those alone that leave the agents running, so that the memory of one process is seen for
half the run. **Flat** means: a straight line laid through the samples of the second half, after each of these
faults has come once (each takes its most then), rises by no more than 5 % of their mean or 4 MiB, whichever is
more; for file descriptors by no more than 4.
"""

import os
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab.equation import Verdict
from lab.fault_run import FaultRun, told
from lab.fault_scene import AGENTS, FaultScene
from lab.faults import FAULTS
from lab.ledger import Ledger
from lab.stack import Program

_SAMPLE_SECONDS = 60.0
_FEWEST_SAMPLES = 20
_GROWTH_SHARE = 0.05
_GROWTH_BYTES = 4 << 20
_GROWTH_DESCRIPTORS = 4
_VOLUME_BYTES = 2 << 30
_LONGEST = 4.0
"""A fault lasts up to so many times as long as in the tests."""


@dataclass(frozen=True)
class Sample:
    """An agent's resident memory in bytes and its open file descriptors, `seconds` after the start of the run."""

    seconds: float
    rss: int
    descriptors: int


@dataclass
class Sampling:
    """Samples of both agents, taken every so often."""

    every_seconds: float
    samples: dict[Program, list[Sample]] = field(default_factory=lambda: {agent: [] for agent in AGENTS})
    _begun: float = field(default_factory=time.monotonic)
    _due: float = 0.0

    def seconds(self) -> float:
        """Since the start of the run."""
        return time.monotonic() - self._begun

    def look(self, scene: FaultScene, ledger: Ledger) -> None:
        """Take a sample of each agent that runs, where it is time to, and say how far things are."""
        seconds = self.seconds()
        if seconds < self._due:
            return
        self._due = seconds + self.every_seconds
        shown = []
        for agent in AGENTS:
            if scene.stack.is_started(agent) and (sample := _sample(scene.stack.pid(agent), seconds)):
                self.samples[agent].append(sample)
                shown.append(f"{agent} {sample.rss / (1 << 20):.1f} MiB, {sample.descriptors} descriptors")
        states = sum(len(states) for states in ledger.files.values())
        done = f"{states} changes of {len(ledger.files)} files, {len(ledger.programs)} programs"
        print(f"{seconds / 60:5.1f} min: {done}; {'; '.join(shown)}", flush=True)


def _sample(pid: int, seconds: float) -> Sample | None:
    """None where the process has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    return Sample(seconds, pages * os.sysconf("SC_PAGE_SIZE"), descriptors)


def growth(points: list[tuple[float, float]]) -> float:
    """By how much a straight line laid through the points (least squares) rises from the first to the last."""
    if len(points) < 2:
        raise ValueError(f"growth of {len(points)} points: expected two or more")
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    return slope * (points[-1][0] - points[0][0])


def rising(samples: list[Sample], from_seconds: float) -> list[str]:
    """What is not flat from then on, in words; empty where all is."""
    later = [sample for sample in samples if sample.seconds >= from_seconds]
    mean = sum(sample.rss for sample in later) / len(later)
    rss = growth([(sample.seconds, sample.rss) for sample in later])
    descriptors = growth([(sample.seconds, sample.descriptors) for sample in later])
    problems = []
    if rss > max(_GROWTH_SHARE * mean, _GROWTH_BYTES):
        problems.append(f"memory rises by {rss / (1 << 20):.1f} MiB")
    if descriptors > _GROWTH_DESCRIPTORS:
        problems.append(f"file descriptors rise by {descriptors:.0f}")
    return problems


def main() -> int:
    """Run the soak that MINUTES and SEED in the environment ask for."""
    minutes = float(os.environ.get("MINUTES") or "30")
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(1 << 32))
    half = minutes * 30
    sampling = Sampling(min(_SAMPLE_SECONDS, 2 * half / _FEWEST_SAMPLES))
    run = FaultRun(f"soak/{seed}", students=4, by_pods=True, volume_bytes=_VOLUME_BYTES, on_look=sampling.look)
    print(
        f"soak: {minutes:g} minutes, seed {seed}: again with `make soak MINUTES={minutes:g} SEED={seed}`",
        flush=True,
    )
    measured_from: list[float] = []

    def plan(run: FaultRun, scene: FaultScene) -> None:
        chance = random.Random(run.seed)
        begun = time.monotonic()
        lasting = [one for one in FAULTS if not set(one.restarts) & set(AGENTS)]
        until = 2 * half
        while (elapsed := time.monotonic() - begun) < until:
            if elapsed >= half and not measured_from:
                for one in lasting:
                    run.inject(scene, one, chance)
                measured_from.append(sampling.seconds())
                # However short the run, there is something to lay a line through.
                until = max(until, time.monotonic() - begun + half / 2)
            one = chance.choice(lasting if measured_from else FAULTS)
            run.inject(scene, one, chance, chance.uniform(1.0, _LONGEST))
            run.hold(scene, chance.uniform(1.0, 6.0))

    verdict = run.run(plan)
    problems = [
        f"{agent}: {problem}" for agent in AGENTS for problem in rising(sampling.samples[agent], measured_from[0])
    ]
    _show(run, verdict, sampling)
    for problem in problems:
        print(f"NOT FLAT: {problem}")
    if verdict.violations:
        print(told(run, verdict))
    return 1 if verdict.violations or problems else 0


def _show(run: FaultRun, verdict: Verdict, sampling: Sampling) -> None:
    rows: list[tuple[str, object]] = [
        ("rows stored", verdict.rows),
        ("saves", verdict.saves),
        ("deletions", verdict.deletions),
        ("programs", verdict.programs),
        ("saves declared lost", verdict.declared_saves),
        ("programs declared lost", verdict.declared_programs),
        ("stored twice", verdict.count("twice")),
        ("lost", verdict.count("lost", "final")),
        ("other violations", len(verdict.violations) - verdict.count("twice", "lost", "final")),
        ("faults injected", sum(run.injected.values())),
        *((f"  {name}", run.injected[name]) for name in sorted(run.injected)),
        ("gaps declared", sum(verdict.gaps.values())),
        *((f"  {cause}", verdict.gaps[cause]) for cause in sorted(verdict.gaps)),
    ]
    for agent, samples in sampling.samples.items():
        middle = samples[len(samples) // 2]
        for when, sample in (("start", samples[0]), ("middle", middle), ("end", samples[-1])):
            rows.append((f"{agent} at the {when}", f"{sample.rss >> 10} KiB, {sample.descriptors} descriptors"))
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows), flush=True)


if __name__ == "__main__":
    sys.exit(main())
