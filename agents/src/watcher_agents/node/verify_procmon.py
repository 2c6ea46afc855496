"""Proves that procmon records: a build and runs in a pod are at the backend with the exit codes that they had.

The pod's workspace lies in its own memory, not on the export: procmon names a file from the root of its file
system, whichever that is, and filemon, where it runs, has nothing to record of it.
"""

import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from re import Pattern

from watcher_agents.node.canary import HW_NAME, canary_of, pod_hostname
from watcher_agents.node.canary_records import CanaryRecords
from watcher_agents.node.evidence import Evidence, Journal
from watcher_agents.node.installed_agents import AGENTS
from watcher_agents.node.interruption import hold_off
from watcher_agents.node.pod import OWN_VOLUME, PATH, PROJECT, Pod
from watcher_agents.node.steps import StepFailed, Steps
from watcher_agents.procmon.rules import Rules, load_rules
from watcher_agents.procmon.settings import read_procmon_settings

_COMPILERS = ("gcc", "cc", "clang", "tcc")
_INTERPRETER = "python3"
_DIRECTORY = f"{PROJECT}/{HW_NAME}"
_SOURCE = b"int main(void) { return 7; }\n"
_SCRIPT = b"raise SystemExit(7)\n"
_EXIT_CODE = 7


def verify_procmon(environ: Mapping[str, str], journal: Journal | None, within: float, steps: Steps) -> None:
    """Prove the running procmon that was started with `environ`.

    Raises what a step failed with, after everything that was made has been removed.
    """
    with steps.step("settings") as step:
        settings = read_procmon_settings(environ)
        rules = load_rules(settings.agent.rules_file)
        if not rules.assignment.fullmatch(HW_NAME):
            raise StepFailed(f"procmon's rules do not take {HW_NAME} for an assignment: see assignment")
        student = canary_of(settings.agent.node_name)
        hostname = pod_hostname(student, settings.hostname_prefix)
        step.detail = f"node {settings.agent.node_name}, hostname {hostname}"
    with CanaryRecords(settings.agent, student) as records:
        evidence = Evidence(AGENTS["procmon"], student, journal, records, within, steps, lambda: "")
        with _cleaned_up(steps, records):
            with steps.step("leftovers") as step:
                step.detail = f"events of earlier runs removed: {records.remove()}"
            with Pod(hostname, f"{OWN_VOLUME}/{student.workspace}", within) as pod:
                with steps.step("pod") as step:
                    _write(pod, "hello.c", _SOURCE)
                    _write(pod, "exit7.py", _SCRIPT)
                    step.detail = hostname
                _prove_programs(pod, evidence, rules)


def _prove_programs(pod: Pod, evidence: Evidence, rules: Rules) -> None:
    notes = evidence.steps.notes
    # In each command line, so that a program is told from those of earlier runs.
    nonce = f"CANARY_{secrets.token_hex(8)}"
    compiler = _installed(_COMPILERS, (rule.binary for rule in rules.builds))
    if compiler is None:
        notes.append("build: not proved, this node has no C compiler that procmon's rules name")
    elif _prove(pod, evidence, "build", "build", [compiler, f"-D{nonce}", "hello.c", "-o", "hello"], nonce) == 0:
        _prove(pod, evidence, "run", "run", ["./hello", nonce], nonce, _EXIT_CODE)
    else:
        notes.append(f"run of a built program: not proved, {compiler} on this node makes none")
    interpreter = _installed((_INTERPRETER,), (rule.binary for rule in rules.runs))
    if interpreter is None:
        notes.append(f"script: not proved, procmon's rules or this node lack {_INTERPRETER}")
    else:
        _prove(pod, evidence, "run", "script", [interpreter, "exit7.py", nonce], nonce, _EXIT_CODE)


def _prove(
    pod: Pod,
    evidence: Evidence,
    event_type: str,
    what: str,
    command: list[str],
    nonce: str,
    expected: int | None = None,
) -> int:
    """Run a command in the pod and find it recorded with the exit code that it had, which is returned."""
    with evidence.steps.step(what) as step:
        code = pod.run(command, _DIRECTORY).returncode
        step.detail = f"{' '.join(command)} ended with {code}"
        if expected is not None and code != expected:
            raise StepFailed(f"{step.detail}, expected {expected}")
    argv = " ".join(command)
    event_id = evidence.in_journal(
        lambda line: line.startswith(f"process event: type={event_type} ") and argv in line, what
    )
    row = evidence.at_backend(event_type, lambda row: row["argv"] == command, what, event_id)
    with evidence.steps.step(f"{what}'s exit code") as step:
        if row["exit_code"] != code:
            raise StepFailed(f"event {row['id']} has exit code {row['exit_code']}, the program ended with {code}")
        step.detail = str(code)
    return code


def _installed(names: Iterable[str], patterns: Iterable[Pattern[str]]) -> str | None:
    """The first of these programs that the node has and that a rule is for."""
    known = list(patterns)
    for name in names:
        path = shutil.which(name, path=PATH)
        if path and any(pattern.fullmatch(Path(path).resolve().name) for pattern in known):
            return name
    return None


def _write(pod: Pod, name: str, content: bytes) -> None:
    done = pod.run(["sh", "-c", f"mkdir -p {HW_NAME} && cat > {HW_NAME}/{name}"], PROJECT, content)
    if done.returncode != 0:
        raise StepFailed(f"the student cannot write {HW_NAME}/{name}: {done.stdout.decode().strip()}")


@contextmanager
def _cleaned_up(steps: Steps, records: CanaryRecords) -> Iterator[None]:
    try:
        yield
    finally:
        hold_off()
        with steps.step("cleanup") as step:
            step.detail = f"events removed: {records.remove()}"
