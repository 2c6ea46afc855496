"""The installed machine as the tests look at it: its units, what they say, and what is recorded."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from integration.nfs.installation import BACKEND_PORT, METRICS_PORTS
from lab.machine import Machine
from lab.machine_image import EXPORTS
from lab.machine_pods import CSI_OPTIONS, Pod, start_pod, unmount_pod
from lab.waiting import Found, wait_for

AGENTS = tuple(METRICS_PORTS)
SLOW_SECONDS = 150.0
"""How long at most what is under way may take: the machine is emulated, and others run beside it."""
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class NfsSite:
    """A machine that is its own NFS server, Watcher's node and backend."""

    machine: Machine
    address: str
    """Its own, as its mounts name it."""
    client: httpx.Client

    @property
    def export(self) -> str:
        """The workspaces' volume."""
        return f"{self.address}:{EXPORTS[0]}"

    def root(self, script: str, *, check: bool = True, seconds: float = 300.0) -> str:
        """Run a shell script as root there, which must succeed where `check` is set; what it says."""
        return self.machine.login.run("sudo sh -eu", text=script, check=check, seconds=seconds).stdout

    def unit(self, agent: str, *properties: str) -> list[str]:
        """Properties of an agent's unit, as systemd tells them."""
        names = " ".join(f"--property={name}" for name in properties)
        lines = self.machine.ssh(f"systemctl show {names} watcher-{agent}").stdout.splitlines()
        told = dict(line.partition("=")[::2] for line in lines)
        return [told[name] for name in properties]

    def status(self, agent: str = "filemon") -> str:
        """The line in `systemctl status`."""
        return self.unit(agent, "StatusText")[0]

    def lives(self) -> dict[str, list[str]]:
        """Of each agent what is another after a restart, or while it does not run."""
        return {agent: self.unit(agent, "ActiveState", "MainPID", "NRestarts") for agent in AGENTS}

    def metric(self, name: str, agent: str = "filemon") -> float:
        """An agent's metric. Raises httpx.HTTPError where it does not answer within seconds."""
        text = self.client.get(self.machine.url(METRICS_PORTS[agent]) + "/metrics").raise_for_status().text
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def get(self, path: str, **parameters: str | int) -> Any:
        """The backend's JSON answer. Raises httpx.HTTPError where it is an error."""
        answer = self.client.get(f"{self.machine.url(BACKEND_PORT)}{path}", params=parameters)
        return answer.raise_for_status().json()

    def events(self, workspace: str, kind: str) -> list[dict[str, Any]]:
        """A student's events of a type, in the order of their agents' sequence."""
        class_div, _, student = workspace.rpartition("-")
        page = self.get("/api/v1/events", class_div=class_div, student_id=student, type=kind, limit=1000)
        return sorted(page["events"], key=lambda event: int(event["sequence"]))

    def versions(self, workspace: str) -> list[dict[str, Any]]:
        """A student's recorded versions, in the order of their agents' sequence."""
        return self.events(workspace, "snapshot")

    def gaps(self, cause: str) -> list[dict[str, Any]]:
        """The declared gaps of this cause."""
        found: list[dict[str, Any]] = self.get("/api/v1/gaps", cause=cause, limit=1000)["gaps"]
        return found

    def content(self, version: dict[str, Any]) -> str:
        """A version's content, which the backend reads from the snapshot volume."""
        url = f"{self.machine.url(BACKEND_PORT)}/api/v1/events/{version['id']}/content"
        return self.client.get(url).raise_for_status().text

    def wait_for_version(self, workspace: str, filename: str, content: str) -> dict[str, Any]:
        """The version of a file with this content, once it is at the backend."""
        wanted = hashlib.sha256(content.encode()).hexdigest()

        def found() -> dict[str, Any] | None:
            for version in self.versions(workspace):
                if version["filename"] == filename and version["sha256"] == wanted:
                    return dict(version)
            return None

        version = wait_gently(found, f"{filename} with {content!r} to be recorded")
        assert version is not None
        assert self.content(version) == content
        return version

    def save(self, pod: Pod, name: str, content: str) -> dict[str, Any]:
        """Save a file of hw1 as the student, and expect it to be recorded; the version."""
        pod.save(f"hw1/{name}", content)
        return self.wait_for_version(pod.workspace, name, content)

    def files(self, workspace: str) -> dict[str, str]:
        """What the server has of hw1: the SHA-256 of each file."""
        script = f"cd {EXPORTS[0]}/workspace/{workspace}/hw1 && sha256sum *"
        return {name: digest for digest, name in (line.split() for line in self.root(script).splitlines())}

    def recorded_files(self, workspace: str, last_by: str = "sequence") -> dict[str, str]:
        """What each file is by its last version; `last_by`: the field that tells which that is."""
        newest: dict[str, dict[str, Any]] = {}
        for version in sorted(self.versions(workspace), key=lambda version: version[last_by]):
            newest[version["filename"]] = version
        return {name: version["sha256"] for name, version in newest.items() if version["change"] != "deleted"}

    def wait_for_all(self, workspace: str, contents: Counter[str]) -> None:
        """Wait until all of these, in the form of `counted`, have been recorded."""
        wait_gently(
            lambda: not contents - counted(self.versions(workspace)),
            f"{contents.total()} contents of {workspace} to be recorded",
        )

    def wait_until_equal(self, workspace: str) -> None:
        """Wait until each file's last recorded content is the one that it has."""
        wait_gently(
            lambda: self.recorded_files(workspace) == self.files(workspace),
            f"the last contents of {workspace} to be recorded",
        )

    def wait_until_well(self) -> None:
        """Wait until filemon tells of no problem."""
        wait_gently(lambda: not self.status().startswith("PROBLEM"), "filemon to be well")

    @contextmanager
    def pod(self, workspace: str, options: str = CSI_OPTIONS) -> Iterator[Pod]:
        """A student's pod, which ends with the context."""
        pod = start_pod(self.machine, self.export, workspace, options)
        try:
            yield pod
        finally:
            unmount_pod(pod, "--lazy")


def wait_gently(look: Callable[[], Found], what: str) -> Found:
    """As wait_for, asking only twice a second: every question takes the emulated machine from its work."""

    def look_and_rest() -> Found:
        found = look()
        if not found:
            time.sleep(_PAUSE_SECONDS)
        return found

    return wait_for(look_and_rest, what, SLOW_SECONDS)


def counted(versions: list[dict[str, Any]]) -> Counter[str]:
    """How often each file's content was recorded, by `name sha256`."""
    return Counter(f"{version['filename']} {version['sha256']}" for version in versions)
