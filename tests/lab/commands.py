"""Commands of the machine that the lab is built with."""

import subprocess
from pathlib import Path

_SHOWN = 4000


class CommandFailedError(RuntimeError):
    """A command ended with another code than 0; the message holds its code and the end of its output."""


def call(*command: str | Path, text: str | None = None, seconds: float | None = None) -> str:
    """Run a command, with `text` as its standard input, and return what it wrote to standard output.

    Raises CommandFailedError where it ends with another code than 0, subprocess.TimeoutExpired after `seconds`.
    """
    done = subprocess.run(
        [str(word) for word in command], input=text, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-_SHOWN:]
        raise CommandFailedError(f"{' '.join(map(str, command))[:500]}: exit code {done.returncode}\n{said}")
    return done.stdout
