"""`watcher-agent`: status, health, verify and spool, for operators and for the roll-out."""

import argparse
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from watcher_agents import __version__
from watcher_agents.journal import printable
from watcher_agents.node.canary_records import BackendFailed
from watcher_agents.node.canary_volume import RUN_DIRECTORY
from watcher_agents.node.health import journal_excerpt, take_look, wait_for_health
from watcher_agents.node.installed_agents import AGENTS, Agent, environment_of
from watcher_agents.node.interruption import Interrupted, interruptible
from watcher_agents.node.services import SystemdError, UnitJournal, unit_state
from watcher_agents.node.spool_command import add_spool_arguments, run_spool_command
from watcher_agents.node.spool_file import SpoolError
from watcher_agents.node.status import node_status
from watcher_agents.node.status_text import status_text
from watcher_agents.node.steps import Step, StepFailed, Steps
from watcher_agents.node.verify_filemon import verify_filemon
from watcher_agents.node.verify_procmon import verify_procmon
from watcher_agents.rules_file import RulesError
from watcher_agents.settings import LOG_LEVELS, SettingError, choice, lookup

EXIT_WELL, EXIT_NOT_WELL, EXIT_MISUSE = 0, 1, 2

_FAILURES = (StepFailed, BackendFailed, SystemdError, SettingError, RulesError, Interrupted, OSError)
"""What a step fails with; it stands in the step's line already."""
_QUIET_LEVELS = ("WARNING", "ERROR")


class _Busy(Exception):
    """Another verification runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 where all is well, 1 where something is not, 2 where it was called wrongly."""
    parsed = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        return _misuse("must run as root: it looks into the agents' processes and mounts")
    try:
        if parsed.command == "status":
            return _status(parsed.json)
        if parsed.command == "spool":
            return _spool(parsed)
        agent = AGENTS[parsed.agent]
        if parsed.command == "health":
            return _health(agent, parsed.within)
        with _alone():
            return _verify(agent, parsed.within, parsed.json)
    except (SystemdError, SpoolError, SettingError, _Busy, OSError) as error:
        _say(f"watcher-agent {parsed.command}: {error}")
        return EXIT_NOT_WELL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watcher-agent", description="What this node's agents are doing, and whether they record."
    )
    parser.add_argument("--version", action="version", version=f"watcher-agent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="how the agents and the mounts are")
    health = commands.add_parser("health", help="wait until an agent that was just started does its work")
    verify = commands.add_parser("verify", help="prove from end to end that an agent records, and leave no trace")
    add_spool_arguments(commands.add_parser("spool", help="what waits to be delivered, and what was refused"))
    for command, seconds in ((health, 30.0), (verify, 60.0)):
        command.add_argument("agent", choices=list(AGENTS))
        command.add_argument(
            "--within", type=_seconds, default=seconds, metavar="SECONDS", help="how long to wait (%(default)g)"
        )
    for command in (status, verify):
        command.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 3600 seconds")
    return value


def _status(as_json: bool) -> int:
    status = node_status()
    sys.stdout.write((json.dumps(status.as_json()) if as_json else status_text(status)) + "\n")
    return EXIT_WELL if status.well else EXIT_NOT_WELL


def _health(agent: Agent, within: float) -> int:
    problem = wait_for_health(agent, __version__, within, take_look)
    if problem is None:
        sys.stdout.write(f"{agent.unit} is well: release {__version__}, ready, nothing is stuck\n")
        return EXIT_WELL
    _say(problem)
    for line in journal_excerpt(agent):
        _say(f"  {line}")
    return EXIT_NOT_WELL


def _spool(parsed: argparse.Namespace) -> int:
    if parsed.action == "drop" and not parsed.yes:
        return _misuse("spool drop gives work of students up for good: say --yes if that is meant")
    sys.stdout.write(run_spool_command(parsed) + "\n")
    return EXIT_WELL


def _verify(agent: Agent, within: float, as_json: bool) -> int:
    steps = Steps(on_step=lambda step: None if as_json else _show(step))
    node = socket.gethostname()
    try:
        with interruptible():
            with steps.step("service") as step:
                environ = _running(agent, step)
            named = lookup(environ, ("WATCHER_NODE_NAME",))
            node = named[1] if named else node
            journal = _journal(agent, environ, steps)
            prove = {"filemon": verify_filemon, "procmon": verify_procmon}[agent.name]
            prove(environ, journal, within, steps)
    except _FAILURES as error:
        if steps.ok:
            steps.done.append(Step("verify", detail=str(error)))
    if as_json:
        document = {"node": node, "agent": agent.name, "ok": steps.ok}
        document |= {"steps": [asdict(step) for step in steps.done], "notes": steps.notes}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        for note in steps.notes:
            sys.stdout.write(f"note    {printable(note)}\n")
        sys.stdout.write(f"{agent.name} on {node}: {'records' if steps.ok else 'NOT PROVED'}\n")
    return EXIT_WELL if steps.ok else EXIT_NOT_WELL


def _running(agent: Agent, step: Step) -> dict[str, str]:
    """The environment of the running agent."""
    unit = unit_state(agent.unit)
    if unit is None:
        raise StepFailed(f"{agent.unit} is not installed on this node")
    if unit.active != "active" or not unit.main_pid:
        raise StepFailed(f"{agent.unit} is {unit.active} ({unit.sub}): look at systemctl status {agent.unit}")
    step.detail = f"{agent.unit} runs as process {unit.main_pid}"
    return environment_of(unit.main_pid)


def _journal(agent: Agent, environ: dict[str, str], steps: Steps) -> UnitJournal | None:
    level = choice(environ, ("WATCHER_LOG_LEVEL", "LOG_LEVEL"), LOG_LEVELS, "INFO")
    if level in _QUIET_LEVELS:
        steps.notes.append(f"journal lines: not proved, the log level of {agent.unit} is {level}")
        return None
    return UnitJournal(agent.unit)


def _show(step: Step) -> None:
    outcome = "ok" if step.ok else "FAILED"
    sys.stdout.write(printable(f"{outcome:<8}{step.name:<32}{step.seconds:8.2f} s  {step.detail}".rstrip()) + "\n")
    sys.stdout.flush()


@contextmanager
def _alone() -> Iterator[None]:
    """Keep a second verification out: both would play the same student. Raises _Busy or OSError."""
    RUN_DIRECTORY.mkdir(exist_ok=True)
    with (RUN_DIRECTORY / "verify.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _Busy(f"another verification runs on this node ({lock.name})") from error
        yield


def _misuse(text: str) -> int:
    _say(f"watcher-agent: {text}")
    return EXIT_MISUSE


def _say(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
