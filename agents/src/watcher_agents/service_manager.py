"""What an agent tells systemd: that it is ready, how it is, and that it lives (sd_notify(3)).

The protocol is spoken by systemd's own library, which comes from the node's distribution (python3-systemd). An
agent that systemd did not start, on a developer's machine say, needs neither and tells nobody.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

from watcher_agents.journal import printable
from watcher_agents.settings import SettingError

log = logging.getLogger(__name__)

TICK_SECONDS = 5.0
"""How often the status line is made anew; a sign of life goes with it, twice in a watchdog's time at least."""

Notify = Callable[[str], object]


class ServiceManager:
    """systemd, as far as this agent talks to it. Safe to use from several threads."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Raises SettingError where systemd waits for a word and its library is missing."""
        self._notify = _notifier(environ)
        self._lock = threading.Lock()
        self._status = ""
        self._is_ready = False
        watchdog = _watchdog_seconds(environ)
        self._is_watched = watchdog is not None
        self.tick_seconds = TICK_SECONDS if watchdog is None else min(TICK_SECONDS, watchdog / 2)
        """Seconds between two words to systemd."""

    def ready(self) -> None:
        """Say that the agent captures from now on."""
        with self._lock:
            self._is_ready = True
            self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the rules are being read anew; `reloaded` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        with self._lock:
            if self._is_ready:
                self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def reloaded(self) -> None:
        """Say that the rules were read; an agent that has not been ready before does not become so by that."""
        with self._lock:
            if self._is_ready:
                self._tell("READY=1")

    def stopping(self) -> None:
        """Say that the agent ends."""
        with self._lock:
            self._tell("STOPPING=1")

    def status(self, line: str) -> None:
        """Show a line in `systemctl status`; escaped, since a line's end would end the word to systemd."""
        with self._lock:
            if line != self._status:
                self._status = line
                self._tell(f"STATUS={printable(line)}")

    def alive(self) -> None:
        """Give the watchdog a sign of life."""
        if self._is_watched:
            with self._lock:
                self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if self._notify is None:
            return
        try:
            self._notify(state)
        except OSError as error:
            # No reason to stop capturing; where it lasts, the watchdog draws the conclusion.
            log.error("systemd cannot be told %s: %s", state.partition("=")[0], error)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How often systemd wants a sign of life of this process (sd_watchdog_enabled(3)); None: never."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isascii() or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    own = str(os.getpid())
    return int(microseconds) / 1e6 if environ.get("WATCHDOG_PID", own) == own else None


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
