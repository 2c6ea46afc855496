"""The backend in the machine: played by podman from the claims and the Deployment that the role sends."""

import json
from typing import Any

import yaml

from lab.kubernetes_api import Write
from lab.machine import Machine
from lab.machine_image import EXPORTS

PORT = 3000
_CLAIMS = "PersistentVolumeClaim"
_ASK = (
    "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"
)


class PlayedBackend:
    """The backend as it runs in the machine, asked from there."""

    def __init__(self, machine: Machine, address: str) -> None:
        """`address`: the machine's own."""
        self._machine = machine
        self.url = f"http://{address}:{PORT}"

    def text(self, path: str) -> str:
        """The answer to a GET; AssertionError where it is an error."""
        return self._machine.ssh(f"python3 -c '{_ASK}' '{self.url}{path}'").stdout

    def answers(self, path: str) -> bool:
        """Whether a GET is answered with 2xx, as kubelet asks."""
        return self._machine.ssh(f"python3 -c '{_ASK}' '{self.url}{path}'", check=False).returncode == 0

    def events(self, workspace: str, event_type: str) -> list[dict[str, Any]]:
        """A student's events of a type."""
        class_div, _, student = workspace.rpartition("-")
        query = f"class_div={class_div}&student_id={student}&type={event_type}&limit=1000"
        found: list[dict[str, Any]] = json.loads(self.text(f"/api/v1/events?{query}"))["events"]
        return found

    def content(self, event: dict[str, Any]) -> str:
        """A version's content, which the backend reads from the snapshot volume."""
        return self.text(f"/api/v1/events/{event['id']}/content")


def sent_manifests(writes: list[Write]) -> list[dict[str, Any]]:
    """The claims and the Deployment as the role sent them, claims first."""
    sent = [write.body for write in writes if write.body and write.method == "POST" and not write.dry_run]
    return [item for kind in (_CLAIMS, "Deployment") for item in sent if item["kind"] == kind]


def as_played(manifests: list[dict[str, Any]]) -> str:
    """The manifests as podman is to play them: with what a StorageClass adds, without what kubelet does."""
    played: list[dict[str, Any]] = json.loads(json.dumps(manifests))
    for item in played:
        if item["kind"] == "Deployment":
            # kubelet asks it from outside; podman would run curl in the container, where there is none.
            del item["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]
        elif item["metadata"]["name"] == "watcher-filemon-storage-pvc":
            # Where the volume is; filemon writes it over NFS.
            item["metadata"]["annotations"] = {
                "volume.podman.io/device": EXPORTS[1],
                "volume.podman.io/type": "none",
                "volume.podman.io/mount-options": "bind",
            }
    return yaml.safe_dump_all(played)
