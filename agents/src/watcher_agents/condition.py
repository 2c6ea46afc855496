"""How an agent is, in one line for `systemctl status`: what is wrong, or that all is well."""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone

from watcher_agents.heartbeat import Heartbeat
from watcher_agents.spool import Spool

Check = Callable[[], str | None]
"""Tells what is wrong, None where nothing is."""

_NEARLY_FULL = 0.9
"""Of what the spool may hold: from here on it is told."""

PROBLEM = "PROBLEM "
"""What the line begins with where something is wrong."""


class Condition:
    """Asked by the main thread at each tick; the parts add what they know about themselves."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._checks: list[Check] = []
        self._heartbeats: list[Heartbeat] = []
        self.work: Callable[[], str] = lambda: "starting"
        """What the agent does, in a few words: `watching 12 workspaces`."""

    def add_check(self, check: Check) -> None:
        """Ask this too."""
        self._checks.append(check)

    def add_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Take this thread into account."""
        self._heartbeats.append(heartbeat)

    @property
    def is_stuck(self) -> bool:
        """Whether a thread fails to get on: then systemd should hear no more, and start the agent anew."""
        return any(heartbeat.is_stuck for heartbeat in self._heartbeats)

    def line(self) -> str:
        """The line; making it takes the spool's lock, so it also proves that no one holds it for ever."""
        checks = [*(heartbeat.problem for heartbeat in self._heartbeats), *self._checks]
        problems = [problem for check in checks if (problem := check())]
        try:
            backlog = self._spool.backlog()
        except sqlite3.OperationalError as error:
            return f"{PROBLEM}{'; '.join([*problems, f'spool cannot be read: {error}'])} | {self.work()}"
        if backlog.bytes >= _NEARLY_FULL * self._spool.max_bytes:
            share = 100 * backlog.bytes // self._spool.max_bytes
            problems.append(
                f"spool is {share} % full: beyond that the oldest contents are dropped and declared lost"
            )
        if backlog.rejected:
            problems.append(f"{backlog.rejected} events that the backend refused are set aside")
        parts = [self.work(), f"{backlog.events} events wait", _last(backlog.newest)]
        if not problems:
            return "; ".join(parts)
        return f"{PROBLEM}{'; '.join(problems)} | {'; '.join(parts)}"


def _last(newest: float) -> str:
    if not newest:
        return "no event yet"
    return f"last event {datetime.fromtimestamp(newest, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
