"""What both agents are made of beside what they capture, and the order in which it starts and stops."""

import argparse
import ctypes
import errno
import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from watcher_agents import __version__, damage, journal
from watcher_agents.backend_client import BackendClient
from watcher_agents.condition import Condition
from watcher_agents.delivery import ContentStore, Delivery
from watcher_agents.gaps import Gaps
from watcher_agents.lifecycle import Lifecycle
from watcher_agents.metrics import DeliveryMetrics, SpoolCollector, new_registry, ready_gauge, serve_metrics
from watcher_agents.rules_file import RulesError
from watcher_agents.service_manager import ServiceManager
from watcher_agents.settings import AgentSettings, SettingError
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

log = logging.getLogger(__name__)

EXIT_MISCONFIGURED = 2
"""A setting or a rules file is wrong: starting again would change nothing."""
EXIT_FAILED = 1
"""Something failed that may be better at the next start."""

_PASSING_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_PR_SET_DUMPABLE = 4
"""prctl(2)"""


class Reloading:
    """Reads the rules anew at a SIGHUP; wrong ones leave the former in place and are told until others come."""

    def __init__(self) -> None:
        self.read_rules: Callable[[], None] = lambda: None
        """Reads the rules and puts them to use. Raises RulesError or SettingError."""
        self._failure: str | None = None

    def reload(self) -> None:
        """Do it."""
        try:
            self.read_rules()
        except (RulesError, SettingError) as error:
            self._failure = str(error)
            log.error("rules not reloaded, the former stay: %s", error)
        else:
            self._failure = None
            log.info("rules reloaded")

    def problem(self) -> str | None:
        """What was wrong with the last rules."""
        return None if self._failure is None else f"rules not reloaded, the former stay: {self._failure}"


@dataclass(frozen=True)
class AgentParts:
    """What capture builds on."""

    state: StateDatabase
    spool: Spool
    gaps: Gaps
    registry: CollectorRegistry
    lifecycle: Lifecycle
    condition: Condition
    reloading: Reloading
    ready: Callable[[], None]
    """To be called once, when everything is captured from now on. Declares the downtime unless that was taken."""


def parse_arguments(agent: str, description: str) -> argparse.Namespace:
    """Answer --help and --version; everything else is set in the environment. `check_settings` is an argument."""
    parser = argparse.ArgumentParser(
        prog=f"watcher-{agent}",
        description=description,
        epilog="Settings are read from the environment (WATCHER_...); README.md lists them.",
    )
    parser.add_argument("--version", action="version", version=f"watcher-{agent} {__version__}")
    parser.add_argument("--check-settings", action="store_true", help="check settings and rules, then exit")
    return parser.parse_args()


class SpoolUnavailable(Exception):
    """The spool cannot be opened now; the message is one line."""


def settings_are_right() -> int:
    """Answer --check-settings, once settings and rules were read; the exit code."""
    sys.stdout.write("settings and rules are right\n")
    return 0


def explain(error: Exception) -> int:
    """Say in one line on standard error why the agent cannot start."""
    sys.stderr.write(journal.printable(str(error)) + "\n")
    return EXIT_MISCONFIGURED


def run_agent(
    agent: str,
    settings: AgentSettings,
    content_store: ContentStore | None,
    capturing: Callable[[AgentParts], AbstractContextManager[None]],
) -> int:
    """Run until told to stop; the exit code.

    `capturing` captures while its context is entered. It ends first, so that delivery drains a spool that no
    longer grows. Raises SettingError where a setting proves wrong in use.
    """
    manager = ServiceManager()
    journal.configure(settings.log_level, f"watcher-{agent}")
    _leave_no_core()
    try:
        return _run(agent, settings, content_store, capturing, manager)
    except SpoolUnavailable as error:
        log.critical("%s", error)
    except sqlite3.DatabaseError as error:
        if not damage.is_damage(error):
            raise
        log.critical("the spool is damaged (%s): the next start sets it aside", error)
    return EXIT_FAILED


def _run(
    agent: str,
    settings: AgentSettings,
    content_store: ContentStore | None,
    capturing: Callable[[AgentParts], AbstractContextManager[None]],
    manager: ServiceManager,
) -> int:
    with ExitStack() as stack:
        lifecycle = Lifecycle()
        spool, state = _open_spool(settings, stack)
        state.on_damage = lifecycle.fail
        registry = new_registry()
        registry.register(SpoolCollector(spool, state))
        gaps = Gaps(state, spool, agent, settings.node_name, registry)
        try:
            serve_metrics(registry, settings.metrics_port)
        except OSError as error:
            raise SettingError(
                "WATCHER_METRICS_PORT", str(settings.metrics_port), f"a free port ({error.strerror})"
            ) from error
        lifecycle.stop_on_signals()
        lifecycle.reload_on_signal()
        backend = stack.enter_context(closing(BackendClient(settings, agent)))
        delivery = Delivery(spool, backend, DeliveryMetrics(registry), content_store)
        condition, reloading = Condition(spool), Reloading()
        condition.add_check(state.problem)
        condition.add_check(delivery.failing)
        condition.add_check(reloading.problem)
        gauge = ready_gauge(registry)

        def ready() -> None:
            gaps.declare_downtime()
            # From here on there is something to lose, also in the seconds until the first tick.
            _settle(gaps)
            gauge.set(1)
            manager.status(condition.line())
            manager.ready()

        def tick() -> None:
            _settle(gaps)
            # Made before the sign of life: who cannot make it does not live.
            manager.status(condition.line())
            if not condition.is_stuck:
                manager.alive()

        def reload() -> None:
            manager.reloading()
            reloading.reload()
            manager.status(condition.line())
            manager.reloaded()

        log.info(
            "starting: watcher-%s %s node=%s backend=%s spooled=%d",
            agent,
            __version__,
            settings.node_name,
            settings.api_url,
            spool.backlog().events,
        )
        delivery.start(lifecycle)
        stack.callback(_stop, delivery, lifecycle)
        parts = AgentParts(state, spool, gaps, registry, lifecycle, condition, reloading, ready)
        with capturing(parts):
            lifecycle.wait(manager.tick_seconds, tick, reload)
            manager.stopping()
        _settle(gaps, final=True)
    return lifecycle.exit_code


def _open_spool(settings: AgentSettings, stack: ExitStack) -> tuple[Spool, StateDatabase]:
    """Raises SettingError where no spool can be in that directory, SpoolUnavailable where that may pass."""
    path = settings.state_dir / "spool.sqlite3"
    try:
        try:
            return _opened(path, settings.spool_bytes, stack)
        except sqlite3.DatabaseError as error:
            if not damage.is_damage(error):
                raise
            damage.mark(path, str(error))
            return _opened(path, settings.spool_bytes, stack)
    except OSError as error:
        if error.errno not in _PASSING_ERRNOS:
            raise SettingError(
                "WATCHER_STATE_DIR", str(settings.state_dir), f"a directory whose spool can be written ({error})"
            ) from error
        raise SpoolUnavailable(f"the spool {path} cannot be opened: {error.strerror}") from error
    except sqlite3.Error as error:
        raise SpoolUnavailable(f"the spool {path} cannot be opened: {error}") from error


def _opened(path: Path, max_bytes: int, stack: ExitStack) -> tuple[Spool, StateDatabase]:
    """The spool; what was damaged is set aside first. Raises OSError or sqlite3.Error."""
    damage.repair_where_needed(path)
    with ExitStack() as opening:
        state = opening.enter_context(closing(StateDatabase(path)))
        spool = Spool(state, max_bytes)
        stack.enter_context(opening.pop_all())
    return spool, state


def _leave_no_core() -> None:
    """Keep the kernel from writing this process's memory to a file: it holds the token and students' work."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.error("a crash may leave a core file: prctl: %s", os.strerror(ctypes.get_errno()))


def _settle(gaps: Gaps, *, final: bool = False) -> None:
    try:
        gaps.settle(final=final)
    except sqlite3.OperationalError as error:
        # Full, read-only or busy: nothing is forgotten, and the next tick tries again.
        log.error("gaps wait to be declared: %s", error)


def _stop(delivery: Delivery, lifecycle: Lifecycle) -> None:
    if not delivery.stop():
        # A thread that waits for a server would keep the process from ending in order. The spool is safe at any
        # instant, so it is left as it is.
        log.warning("a sink does not answer: leaving without waiting for it")
        os._exit(lifecycle.exit_code)
