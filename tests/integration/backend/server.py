"""The real backend as a process of its own, on a free port of loopback and a real database."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from lab.postgres import url_of
from lab.stack import free_port
from lab.waiting import wait_for
from watcher_backend.database_address import DatabaseAddress, SqliteFile

START_SECONDS = 30


def run_program(environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``watcher-backend`` to its end, with only this environment."""
    return subprocess.run(
        [sys.executable, "-m", "watcher_backend", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class Server:
    """A running backend. ``with`` ends it."""

    def __init__(
        self,
        directory: Path,
        extra: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        address: DatabaseAddress | None = None,
    ) -> None:
        """Start a backend on ``directory``/snapshots and wait until it is ready.

        prefix: a command that runs the program, as ``unshare`` does. address: by default ``directory``/d.db.
        """
        self.directory = directory
        self.address = address or SqliteFile(directory / "d.db")
        self.log_path = directory / "log"
        self.snapshot_root = directory / "snapshots"
        self.snapshot_root.mkdir(exist_ok=True)
        self.port = free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "DB_URL": url_of(self.address),
            "WATCHER_PORT": str(self.port),
            "WATCHER_SNAPSHOT_ROOT": str(self.snapshot_root),
            "WATCHER_LOG_LEVEL": "INFO",
            **(extra or {}),
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "watcher_backend"], env=environ, stdout=log, stderr=log
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)
        wait_for(self._is_ready, "the backend to be ready", START_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return self.client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False  # it does not listen yet

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(40) == 0, self.log()

    def kill(self) -> None:
        """End the process at once, as a power failure would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def log(self) -> str:
        """Return what the program wrote to standard output and error."""
        return self.log_path.read_text()

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON answer of a GET that must succeed."""
        answer = self.client.get(path, params=parameters or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON answer of a POST that must succeed."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value, 0 where it has none yet."""
        for line in self.client.get("/metrics").text.splitlines():
            found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
                return float(found[2])
        return 0.0


def assert_problem(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """Return the problem that an answer holds, after checking that it has the one shape."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    for error in problem.get("errors", ()):
        assert set(error) == {"field", "value", "problem"}
        assert len(error["value"]) <= 200
        assert error["value"].isprintable()
    return problem
