"""Waiting for a host of the lab to have started."""

import time
from pathlib import Path

from lab.ssh import Login
from lab.waiting import wait_for

_PAUSE_SECONDS = 0.2
_SHOWN = 3000


def wait_until_up(name: str, login: Login, console: Path, seconds: float) -> None:
    """Wait until a host can be logged in to and has started all its units.

    AssertionError with the end of its console if it does not answer, with the failed units if it is degraded.
    """

    def answers() -> bool:
        # Without a pause the attempts would take the time that the host needs to start.
        time.sleep(_PAUSE_SECONDS)
        return login.answers()

    try:
        wait_for(answers, f"{name} to answer ssh", seconds)
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{console.read_text(errors='replace')[-_SHOWN:]}") from None
    state = login.run("systemctl is-system-running --wait", check=False, seconds=seconds).stdout.strip()
    if state != "running":
        raise AssertionError(f"{name} is {state}:\n{login.run('systemctl --failed').stdout}")
