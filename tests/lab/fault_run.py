"""One run of the fault suite: students at work, faults by a plan, everything lifted, and then the equation."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from lab.equation import Explanation, Verdict, check
from lab.fault_scene import AGENTS, FaultScene
from lab.faults import Fault, fault
from lab.ledger import FileKey, Ledger
from lab.stack import Program, Stack
from lab.student_at_work import StudentAtWork
from lab.waiting import wait_for

CLASS_DIV = "os-1"

_SPOOL_BYTES = 8 << 20
"""The least that may be set."""
_STATE_BYTES = 48 << 20
_QUIET_SECONDS = 2.0
"""Nothing may wait for so long before the run counts as settled: longer than what is gathered or left in grace."""
_SETTLE_SECONDS = 150.0
_LATER_NS = 25_000_000_000
"""A gap may begin so long after its fault: sinks back off, and catch-ups take their time."""
_SHOWN = 25
_OVERTAKEN = frozenset({"saves_overtaken"})


Plan = Callable[["FaultRun", FaultScene], None]
"""What happens while the students work."""


@dataclass
class FaultRun:
    """A run, seeded; `run` does it. Student ids are of this process, so that runs side by side do not meet."""

    seed: str
    students: int = 3
    pause_seconds: tuple[float, float] = (0.02, 0.25)
    rest_seconds: float = 0.0
    by_pods: bool = False
    """Whether filemon watches the workspaces that pods have mounted, and not all."""
    volume_bytes: int = 128 << 20
    settings: dict[str, str] = field(default_factory=dict)
    on_look: Callable[[FaultScene, Ledger], None] | None = None
    """Called again and again while the plan is carried out."""
    injected: Counter[str] = field(default_factory=Counter)
    events: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    _explanations: list[Explanation] = field(default_factory=list)

    def run(self, plan: Plan) -> Verdict:
        """Let the students work while `plan` injects faults, wait until all is quiet, and check.

        AssertionError where the agents do not come to rest, or one ended that no fault ends.
        """
        settings = {
            "WATCHER_WORKSPACES": "pods" if self.by_pods else "all",
            "WATCHER_SPOOL_BYTES": str(_SPOOL_BYTES),
            **self.settings,
        }
        with Stack(**settings) as stack, FaultScene(stack, _STATE_BYTES, self.volume_bytes) as scene:
            stack.start("backend", "filemon", "procmon")
            with self._students_at_work(scene):
                plan(self, scene)
            self._settle(scene)
            self._check_restarts(scene)
            return self._check(scene)

    @contextmanager
    def _students_at_work(self, scene: FaultScene) -> Iterator[None]:
        stop = threading.Event()
        with ExitStack() as pods:
            begun = time.time_ns()
            first = 300_000_000 + 100 * os.getpid()
            for number in range(self.students):
                student = StudentAtWork(
                    self.ledger,
                    scene.export,
                    CLASS_DIV,
                    first + number,
                    self.seed,
                    pause_seconds=self.pause_seconds,
                    rest_seconds=self.rest_seconds,
                )
                scene.students.append(pods.enter_context(student))
                if self.by_pods:
                    scene.mount_pod(student)
            if self.by_pods:
                self._explain("the pods came", begun, frozenset({"unwatched"}))
            threads = [threading.Thread(target=student.work, args=(stop,)) for student in scene.students]
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
        scene.check_students()
        self.ledger.closed_ns = time.time_ns()

    def inject(self, scene: FaultScene, one: Fault, chance: random.Random, times: float = 1.0) -> None:
        """Inject one fault, let it last (so many times as long as usual), and take it back."""
        begun = time.time_ns()
        with one.inject(scene, chance):
            self.hold(scene, times * one.seconds)
        self.injected[one.name] += 1
        self._explain(one.name, begun, one.causes)

    def _explain(self, name: str, begun_ns: int, causes: frozenset[str]) -> None:
        most = self.students + 2
        self._explanations.append(Explanation(name, begun_ns, time.time_ns() + _LATER_NS, causes, most))

    def hold(self, scene: FaultScene, seconds: float) -> None:
        """Let some time pass, looking after what has to be looked after."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            scene.hold(min(0.5, left))
            if self.on_look is not None:
                self.on_look(scene, self.ledger)

    def _settle(self, scene: FaultScene) -> None:
        """Wait until nothing waits any more, then have the agents declare what they gather, by a restart."""
        self._wait_until_quiet(scene)
        begun = time.time_ns()
        scene.stack.stop(*AGENTS)
        scene.stack.start(*AGENTS)
        self._explain("the restart at the end", begun, frozenset({"agent_stopped", *_OVERTAKEN}))
        self._wait_until_quiet(scene)

    def _wait_until_quiet(self, scene: FaultScene) -> None:
        quiet_since: list[float] = []

        def quiet() -> bool:
            scene.supervise()
            waiting = _waiting(scene.stack)
            if waiting is None or any(waiting.values()):
                quiet_since.clear()
                return False
            quiet_since.append(time.monotonic())
            time.sleep(0.2)
            return quiet_since[-1] - quiet_since[0] >= _QUIET_SECONDS

        try:
            wait_for(quiet, "spools to be empty and agents to be quiet", _SETTLE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"seed {self.seed}: {error}; {_waiting(scene.stack)}\n{_logs(scene)}") from None

    def _check_restarts(self, scene: FaultScene) -> None:
        """An agent may end by itself only where a fault ends it."""
        allowed: set[Program] = set()
        for name in self.injected:
            allowed |= fault(name).restarts
        unexpected = {agent: count for (agent, _), count in scene.restarts.items() if agent not in allowed}
        if unexpected:
            raise AssertionError(f"seed {self.seed}: ended by themselves: {unexpected}\n{_logs(scene)}")

    def _check(self, scene: FaultScene) -> Verdict:
        own = {student.student_id for student in scene.students}
        # The probe sees the pods of whoever else tests on this machine, too.
        events = [event for event in scene.stack.events() if event["student_id"] in own]
        gaps = [gap for gap in _all_gaps(scene.stack) if gap["student_id"] is None or gap["student_id"] in own]
        always = Explanation("always", 0, time.time_ns() + _LATER_NS, _OVERTAKEN, 1 << 30)

        def snapshot(path: str) -> bytes | None:
            found = scene.volume / path
            return found.read_bytes() if found.exists() else None

        def present(key: FileKey) -> bytes | None:
            found = scene.export / f"{CLASS_DIV}-{key.student_id}" / key.hw_name / key.filename.replace("@", "/")
            return found.read_bytes() if found.exists() else None

        return check(self.ledger, events, gaps, [*self._explanations, always], snapshot, present)


def carry_out(faults: Sequence[Fault], chance: random.Random, pause_seconds: float = 0.5) -> Plan:
    """A plan: these faults one after the other in an order of the dice, with a pause after each."""

    def plan(run: FaultRun, scene: FaultScene) -> None:
        run.hold(scene, 2.0)
        for one in chance.sample(list(faults), len(faults)):
            run.inject(scene, one, chance)
            run.hold(scene, pause_seconds)
        run.hold(scene, 1.0)

    return plan


def told(run: FaultRun, verdict: Verdict) -> str:
    """What a verdict comes to, for whoever has to find out."""
    head = (
        f"seed {run.seed}: saves {verdict.saves}, deletions {verdict.deletions}, programs {verdict.programs},"
        f" rows {verdict.rows}, declared {verdict.declared_saves} saves and {verdict.declared_programs} programs,"
        f" gaps {dict(verdict.gaps)}, faults {dict(run.injected)}"
    )
    kinds = Counter(violation.kind for violation in verdict.violations)
    shown = [f"  {violation}" for violation in verdict.violations[:_SHOWN]]
    if shown:
        shown += ["gaps", *(f"  {gap}" for gap in verdict.told_gaps[:_SHOWN])]
    return "\n".join([head, f"violations {dict(kinds)}", *shown])


def _waiting(stack: Stack) -> dict[str, float] | None:
    """What waits in the agents; None where one does not answer (yet)."""
    names = {"watcher_spool_events": AGENTS, "watcher_files_waiting": ("filemon",)}
    names["watcher_inotify_unwatched"] = ("filemon",)
    try:
        return {f"{agent} {name}": stack.metric(agent, name) for name, of in names.items() for agent in of}
    except httpx.TransportError:
        return None


def _all_gaps(stack: Stack) -> list[dict[str, Any]]:
    gaps: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = stack.get("/api/v1/gaps", limit=1000, **after)
        gaps += page["gaps"]
        if not page["gaps"]:
            return gaps
        after = {"after": page["next"]}


def _logs(scene: FaultScene) -> str:
    return "\n".join(f"--- {agent}\n{scene.stack.log_text(agent)[-3000:]}" for agent in AGENTS)
