"""Runs the real playbooks as an operator does, and tells what came of them."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
_BIN = Path(sys.executable).parent
_RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=\d+\s+changed=(?P<changed>\d+)"
    r"\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Run:
    """One run of a playbook."""

    exit_code: int
    output: str

    def changed(self, host: str) -> int:
        """How many tasks changed this host; KeyError where the run never came to it."""
        return self._recap()[host][0]

    def failed(self) -> set[str]:
        """The hosts that failed or could not be reached."""
        return {host for host, (_, failed) in self._recap().items() if failed}

    def _recap(self) -> dict[str, tuple[int, int]]:
        return {
            found["host"]: (int(found["changed"]), int(found["failed"]) + int(found["unreachable"]))
            for found in _RECAP.finditer(self.output)
        }

    @property
    def summary(self) -> str:
        """The lines at the end that an operator pastes into a ticket."""
        return self.output[self.output.rfind("\nWATCHER ") + 1 :]

    @property
    def seconds(self) -> int:
        """How long it took, as the summary says."""
        found = re.search(r"UTC, (\d+) s", self.summary)
        assert found, self.output[-2000:]
        return int(found[1])


class Playbooks:
    """The repository's playbooks against one inventory."""

    def __init__(self, *inventories: Path) -> None:
        self._inventories = inventories

    def run(self, name: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook to its end, with these extra variables."""
        command: list[str | Path] = [_BIN / "ansible-playbook"]
        for inventory in self._inventories:
            command += ["--inventory", inventory]
        if variables:
            command += ["--extra-vars", yaml.safe_dump(variables, default_flow_style=True, width=1_000_000)]
        done = subprocess.run(
            [*command, f"playbooks/{name}.yml", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def succeed(self, name: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook that has to succeed; AssertionError with its output where it does not."""
        run = self.run(name, *arguments, **variables)
        assert run.exit_code == 0, f"{name} ended with {run.exit_code}\n{run.output[-12000:]}"
        return run
