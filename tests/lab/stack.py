"""Watcher on this machine for a while: the real backend and agents as processes, on scratch directories."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx

from lab.waiting import wait_for

Program = Literal["backend", "filemon", "procmon"]

_BIN = Path(sys.executable).parent
_START_SECONDS = 30.0
_STOP_SECONDS = 60.0


def free_port() -> int:
    """A TCP port on loopback that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Stack:
    """Starts and stops Watcher's programs; everything they write lies in one scratch directory."""

    def __init__(self, **environment: str) -> None:
        """`environment`: settings beside those that the scratch directories need, for all programs."""
        self.directory = Path(tempfile.mkdtemp(prefix="watcher-"))
        self.workspaces = self.directory / "codes" / "workspace"
        self.snapshots = self.directory / "snapshots"
        for directory in (self.workspaces, self.snapshots):
            directory.mkdir(parents=True)
        self.directory.chmod(0o755)
        self.port = free_port()
        self.metrics_ports: dict[Program, int] = {"filemon": free_port(), "procmon": free_port()}
        self.url = f"http://127.0.0.1:{self.port}"
        self.agents_url = self.url
        """Where the agents send to: the backend itself, unless something is put in between."""
        self._environment = environment
        self._processes: dict[Program, subprocess.Popen[bytes]] = {}
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=30.0)

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(*self._processes)
        self._client.close()
        shutil.rmtree(self.directory)

    def environment(self, program: Program) -> dict[str, str]:
        """The environment that a program is started with: nothing of the machine's but PATH."""
        settings = {
            "PATH": os.environ["PATH"],
            "WATCHER_SNAPSHOT_ROOT": str(self.snapshots),
            **self._environment,
        }
        if program == "backend":
            settings |= {
                "DB_URL": f"sqlite:///{self.directory}/database.db",
                "WATCHER_HOST": "127.0.0.1",
                "WATCHER_PORT": str(self.port),
            }
        else:
            settings |= {
                "WATCHER_API_URL": self.agents_url,
                "WATCHER_METRICS_PORT": str(self.metrics_ports[program]),
                "WATCHER_NODE_NAME": "worker-1",
                "WATCHER_STATE_DIR": str(self.directory / "state" / program),
            }
        if program == "filemon":
            settings["WATCHER_WATCH_ROOT"] = str(self.workspaces)
        return settings

    def start(self, *programs: Program) -> None:
        """Start programs and wait until each is ready; its log is appended to `log_file(program)`."""
        for program in programs:
            begin = self.launch(program)
            wait_for(partial(self._is_ready, program, begin), f"{program} to be ready", _START_SECONDS)

    def launch(self, program: Program) -> int:
        """Start a program and do not wait for it; where its log begins, in bytes."""
        log = self.log_file(program)
        begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._processes[program] = subprocess.Popen(
                [self.program_file(program)], env=self.environment(program), stdout=output, stderr=output
            )
        return begin

    @staticmethod
    def program_file(program: Program) -> Path:
        """The file that is executed."""
        return _BIN / f"watcher-{program}"

    def is_started(self, program: Program) -> bool:
        """Whether a program was started and neither stopped nor killed since; it may have ended by itself."""
        return program in self._processes

    def ended(self, program: Program) -> int | None:
        """The exit code of a program that was started and has ended by itself; None where it runs."""
        process = self._processes.get(program)
        return None if process is None else process.poll()

    def _is_ready(self, program: Program, begin: int) -> bool:
        code = self._processes[program].poll()
        if code is not None:
            raise AssertionError(f"{program} ended with {code}:\n{self.log_text(program)[-3000:]}")
        if program != "backend":
            return " ready: " in self.log_text(program, begin)
        try:
            return self._client.get("/readyz").status_code == httpx.codes.OK
        except httpx.ConnectError:
            return False

    def log_file(self, program: Program) -> Path:
        """Where a program's log lines are."""
        return self.directory / f"{program}.log"

    def log_text(self, program: Program, begin: int = 0) -> str:
        """A program's log from the byte `begin` on."""
        return self.log_file(program).read_bytes()[begin:].decode()

    def pid(self, program: Program) -> int:
        """A running program's process id."""
        return self._processes[program].pid

    def stop(self, *programs: Program) -> None:
        """Ask programs to stop and wait until they have; AssertionError where one says that something failed."""
        for program in programs:
            process = self._processes.pop(program)
            process.send_signal(signal.SIGTERM)
            code = process.wait(_STOP_SECONDS)
            if code != 0:
                raise AssertionError(f"{program} stopped with {code}:\n{self.log_text(program)[-3000:]}")

    def kill(self, *programs: Program) -> None:
        """End programs as kill -9 does."""
        for program in programs:
            process = self._processes.pop(program)
            process.kill()
            process.wait()

    def get(self, path: str, **parameters: str | int) -> Any:
        """The backend's JSON answer to a GET; AssertionError where it is not 200."""
        answer = self._client.get(path, params=parameters)
        if answer.status_code != httpx.codes.OK:
            raise AssertionError(f"GET {answer.url}: {answer.status_code} {answer.text}")
        return answer.json()

    def content(self, event_id: str) -> bytes:
        """A version's content, as REST gives it."""
        answer = self._client.get(f"/api/v1/events/{event_id}/content")
        answer.raise_for_status()
        return answer.content

    def events(self, after: str | None = None) -> Iterator[dict[str, Any]]:
        """All events at the backend in the order of their arrival, from a cursor on."""
        while True:
            page = self.page(after)
            yield from page["events"]
            if not page["events"]:
                return
            after = page["next"]

    def page(self, after: str | None = None) -> Any:
        """One page of events after a cursor, with the cursor to go on from."""
        return self.get("/api/v1/events", **({"after": after} if after else {}))

    def metric(self, program: Program, name: str) -> float:
        """The value of an agent's metric, named with its labels as /metrics shows it."""
        return self.metric_at(self.metrics_ports[program], name)

    def metric_at(self, port: int, name: str) -> float:
        """The same, of whoever serves metrics on that port of loopback."""
        for line in self._client.get(f"http://127.0.0.1:{port}/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"there is no metric {name} on port {port}")
