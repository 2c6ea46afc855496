"""What systemd and its journal say about the agents' services; the one place that asks them."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

_ANSWER_SECONDS = 20.0
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "StatusText",
    "MainPID",
    "NRestarts",
    "ActiveEnterTimestampMonotonic",
)


class SystemdError(Exception):
    """systemd or its journal did not answer; the message is one line."""


@dataclass(frozen=True)
class UnitState:
    """A service as systemd sees it."""

    active: str
    """`active`, `activating`, `failed` …"""
    sub: str
    """`running`, `auto-restart` …"""
    status: str
    """What the service last said of itself; empty where it said nothing."""
    main_pid: int
    """0 where no process runs."""
    restarts: int
    """How often systemd started it again by itself."""
    since: datetime | None
    """When it last became active."""


def unit_state(unit: str) -> UnitState | None:
    """The state of a unit, None where this node has no such unit. Raises SystemdError."""
    text = _run(["systemctl", "show", unit, "--property", ",".join(_PROPERTIES)])
    shown = dict(line.partition("=")[::2] for line in text.splitlines())
    if shown.get("LoadState", "not-found") == "not-found":
        return None
    return UnitState(
        active=shown["ActiveState"],
        sub=shown["SubState"],
        status=shown.get("StatusText", ""),
        main_pid=int(shown.get("MainPID", "0")),
        restarts=int(shown.get("NRestarts", "0")),
        since=_moment(int(shown.get("ActiveEnterTimestampMonotonic", "0"))),
    )


def last_lines(unit: str, count: int) -> list[str]:
    """The last messages of a unit, oldest first. Raises SystemdError."""
    return _run(["journalctl", "--unit", unit, "--lines", str(count), "--output", "cat", "--quiet"]).splitlines()


class UnitJournal:
    """What one unit has written to the journal since this object was made."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        # journalctl takes whole seconds.
        self._since = int(time.time())

    def entries(self, fields: Mapping[str, str]) -> list[dict[str, str]]:
        """The entries that have all these fields, oldest first; binary fields left out. Raises SystemdError."""
        matches = [f"{name}={value}" for name, value in fields.items()]
        since = ["--since", f"@{self._since}"]
        text = _run(["journalctl", "--unit", self._unit, *since, "--output", "json", "--quiet", *matches])
        return [
            {name: value for name, value in json.loads(line).items() if isinstance(value, str)}
            for line in text.splitlines()
        ]


def _moment(monotonic_us: int) -> datetime | None:
    """A monotonic timestamp of systemd's as a wall-clock time: its own texts depend on locale and zone."""
    if not monotonic_us:
        return None
    ago = time.clock_gettime(time.CLOCK_MONOTONIC) - monotonic_us / 1e6
    return datetime.fromtimestamp(time.time() - ago, timezone.utc)


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            [*command, "--no-pager"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise SystemdError(f"{command[0]} is not there: expected a node that runs systemd") from error
    except subprocess.TimeoutExpired as error:
        raise SystemdError(f"{command[0]} did not answer within {_ANSWER_SECONDS:.0f} s") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or "nothing"
        raise SystemdError(f"{' '.join(command[:3])} ended with {done.returncode} and said: {said}")
    return done.stdout
