"""`watcher-procmon`: reads the settings, puts the parts together, runs until it is told to stop."""

import logging
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from watcher_agents import wire
from watcher_agents.agent import AgentParts, explain, parse_arguments, run_agent, settings_are_right
from watcher_agents.journal import about
from watcher_agents.procmon.capture import ProcessCapture
from watcher_agents.procmon.events import process_event
from watcher_agents.procmon.loss_watch import ProgramLosses
from watcher_agents.procmon.metrics import CaptureCollector
from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.program_run import Reported
from watcher_agents.procmon.recent_losses import RecentLosses
from watcher_agents.procmon.rules import Rules, load_rules
from watcher_agents.procmon.settings import ProcmonSettings, read_procmon_settings
from watcher_agents.procmon.spooling import ProgramSpooler
from watcher_agents.rules_file import RulesError
from watcher_agents.settings import SettingError, rules_file

log = logging.getLogger(__name__)


def main() -> int:
    """Run procmon; 0 after an orderly stop, 1 after a failure, 2 where it cannot start as things are."""
    arguments = parse_arguments("procmon", "Records every build and run of students' programs on this node.")
    try:
        settings = read_procmon_settings(os.environ)
        rules = load_rules(settings.agent.rules_file)
        if arguments.check_settings:
            return settings_are_right()
        return run_agent("procmon", settings.agent, None, partial(_capturing, settings, rules))
    except (SettingError, RulesError, ProbeError) as error:
        return explain(error)


@contextmanager
def _capturing(settings: ProcmonSettings, rules: Rules, parts: AgentParts) -> Iterator[None]:
    boot_id = wire.read_boot_id()

    def write(programs: list[Reported]) -> None:
        events = [process_event(reported, boot_id) for reported in programs]
        with parts.state.transaction() as transaction:
            parts.spool.append(transaction, ((event, None) for event in events))
        parts.spool.announce()
        for reported, event in zip(programs, events, strict=True):
            _log_event(reported, event["id"])

    def declare(losses: ProgramLosses) -> None:
        parts.gaps.declare(
            "probe_loss",
            started_ns=losses.started_ns,
            ended_ns=losses.ended_ns,
            events_lost=losses.programs,
            detail=str(losses),
        )

    spooler = ProgramSpooler(write, parts.gaps)
    capture = ProcessCapture(
        hostname_prefix=settings.hostname_prefix,
        rules=rules,
        on_programs=spooler.add,
        on_losses=declare,
        on_failure=lambda failure: _fail(parts, failure),
    )
    parts.reloading.read_rules = lambda: capture.use_rules(load_rules(rules_file(os.environ, "procmon")))
    parts.condition.work = lambda: f"following {capture.counters().processes} processes of students' pods"
    recent = RecentLosses()
    parts.condition.add_check(lambda: recent.problem(capture.losses()))
    parts.condition.add_check(spooler.problem)
    parts.condition.add_heartbeat(capture.heartbeat)
    parts.condition.add_heartbeat(spooler.heartbeat)
    parts.gaps.oldest_unhandled_ns = lambda: min(
        (at for at in (capture.whole_until_ns(), spooler.oldest_ns()) if at is not None), default=None
    )
    with _spooling(spooler, parts), capture:
        parts.registry.register(CaptureCollector(capture, spooler))
        log.info("ready: following the programs of pods named %s...", settings.hostname_prefix)
        parts.ready()
        yield


@contextmanager
def _spooling(spooler: ProgramSpooler, parts: AgentParts) -> Iterator[None]:
    thread = parts.lifecycle.run_thread("procmon-spooler", spooler.run)
    try:
        yield
    finally:
        spooler.finish()
        thread.join()
        spooler.declare_rest()


def _fail(parts: AgentParts, failure: BaseException) -> None:
    log.critical("capture failed, stopping", exc_info=failure)
    parts.lifecycle.fail()


def _log_event(reported: Reported, event_id: str) -> None:
    run, classification = reported
    if run.signal is not None:
        ended = f"signal={run.signal}"
    elif run.replaced_by_exec:
        ended = "replaced_by_exec=true"
    else:
        ended = f"exit_code={run.exit_code}"
    log.info(
        "process event: type=%s process=%s pid=%d binary=%s args=%s cwd=%s %s duration=%.3fs",
        classification.type,
        classification.process_type,
        run.pid,
        run.binary_path,
        shlex.quote(" ".join(run.argv)),
        run.cwd,
        ended,
        (run.ended_at - run.started_at).total_seconds(),
        extra=about(run.student, classification.hw_name, event_id),
    )
