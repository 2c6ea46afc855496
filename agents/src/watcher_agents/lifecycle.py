"""How an agent lives: signals end it in order or reload it, and a thread that fails ends it loudly."""

import logging
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)


class Lifecycle:
    """Waits until the agent is told to stop, or until one of its threads fails."""

    def __init__(self) -> None:
        # A signal handler may interrupt the very thread that waits: only SimpleQueue.put is safe there.
        self._calls: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._failed = False

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT stop the agent; a second one of the same kind ends it at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._calls.put(number)

    def reload_on_signal(self) -> None:
        """SIGHUP reloads, as often as it comes."""
        signal.signal(signal.SIGHUP, lambda number, _frame: self._calls.put(number))

    def run_thread(self, name: str, target: Callable[[], None]) -> threading.Thread:
        """Start a thread; an exception that leaves it is logged with its traceback and stops the agent.

        An agent that looks alive while it has stopped capturing would lose work silently; systemd starts it
        again instead, and it catches up.
        """

        def supervised() -> None:
            try:
                target()
            except BaseException:
                log.critical("thread %s failed, stopping", name, exc_info=True)
                self.fail()

        thread = threading.Thread(target=supervised, name=name, daemon=True)
        thread.start()
        return thread

    def fail(self) -> None:
        """Stop the agent with a non-zero exit code."""
        self._failed = True
        self._calls.put(0)

    def wait(self, tick_seconds: float, tick: Callable[[], None], reload: Callable[[], None]) -> None:
        """Wait until the agent is told to stop or something failed.

        Calls `tick` every `tick_seconds` meanwhile, and `reload` at each SIGHUP.
        """
        while True:
            try:
                number = self._calls.get(timeout=tick_seconds)
            except queue.Empty:
                tick()
                continue
            if number == signal.SIGHUP:
                reload()
                continue
            if number:
                log.info("stopping: signal=%s", signal.Signals(number).name)
            return

    @property
    def exit_code(self) -> int:
        """1 once something failed."""
        return 1 if self._failed else 0
