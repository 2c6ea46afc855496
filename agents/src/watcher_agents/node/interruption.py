"""Makes a signal end the work in order: what was begun is taken down before the program ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the program to end. No Exception, so that nothing takes it for a failure that it handles."""


@contextmanager
def interruptible() -> Iterator[None]:
    """In this block the first signal to end raises Interrupted, and later ones do nothing."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        hold_off()
        raise Interrupted(f"interrupted by {signal.Signals(number).name}")

    former = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def hold_off() -> None:
    """From here to the end of `interruptible` no signal interrupts: what was begun is being taken down."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
