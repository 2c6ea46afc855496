"""A verification as a list of named steps, each with what it found and the time it took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

_PAUSE_SECONDS = 0.2
_Found = TypeVar("_Found")


class StepFailed(Exception):
    """What was waited for or wrong, and what to look at, in one line."""


@dataclass
class Step:
    """One step; `detail` says what was proved, or what failed."""

    name: str
    ok: bool = False
    seconds: float = 0.0
    detail: str = ""


@dataclass
class Steps:
    """The steps so far; `on_step` hears of each when it has ended."""

    on_step: Callable[[Step], None]
    done: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was not proved, and why that is no failure."""

    @property
    def ok(self) -> bool:
        """Whether every step went well."""
        return all(step.ok for step in self.done)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Do one step; the block may say in `detail` what it proved. What it raises is its failure, and passes."""
        step = Step(name)
        begun = time.monotonic()
        try:
            yield step
            step.ok = True
        except BaseException as error:
            step.detail = str(error) or type(error).__name__
            raise
        finally:
            step.seconds = round(time.monotonic() - begun, 3)
            self.done.append(step)
            self.on_step(step)


def wait_for(look: Callable[[], _Found | None], seconds: float, otherwise: Callable[[], str]) -> _Found:
    """Look until there is something and return it; StepFailed with `otherwise` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise StepFailed(otherwise())
        time.sleep(_PAUSE_SECONDS)
