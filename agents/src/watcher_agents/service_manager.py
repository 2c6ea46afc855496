"""What an agent tells systemd: that it is ready, how it is, and that it lives (sd_notify(3)).

The protocol is spoken by systemd's own library, which comes from the node's distribution (python3-systemd). An
agent that systemd did not start, on a developer's machine say, needs neither and tells nobody.
"""

import os
import time
from collections.abc import Callable, Mapping

from watcher_agents.settings import SettingError

TICK_SECONDS = 10.0
"""How often the status line is made anew; a sign of life goes with it, twice in a watchdog's time at least."""

Notify = Callable[[str], object]


class ServiceManager:
    """systemd, as far as this agent talks to it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Raises SettingError where systemd waits for a word and its library is missing."""
        self._notify = _notifier(environ)
        self._status = ""
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        self._watched = watchdog_us.isdigit() and environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.tick_seconds: float | None = None
        """Seconds between two words to systemd; None: there is no one to tell."""
        if self._notify:
            self.tick_seconds = min(TICK_SECONDS, int(watchdog_us) / 2e6) if self._watched else TICK_SECONDS

    def ready(self) -> None:
        """Say that the agent captures: after its start, and after a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the rules are being read anew; `ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Say that the agent ends."""
        self._tell("STOPPING=1")

    def status(self, line: str) -> None:
        """Show a line in `systemctl status`."""
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def alive(self) -> None:
        """Give the watchdog a sign of life."""
        if self._watched:
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if self._notify:
            self._notify(state)


def _notifier(environ: Mapping[str, str]) -> Notify | None:
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return None
    try:
        from systemd import daemon
    except ImportError as error:
        raise SettingError(
            "NOTIFY_SOCKET", address, f"python3-systemd on the node, to answer systemd with ({error})"
        ) from error
    notify: Notify = daemon.notify
    return notify
