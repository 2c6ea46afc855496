"""A cluster as the API tells of one, and the real ansible-playbook run against it with the real roles."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.kubernetes_api import KubernetesApi
from lab.kubernetes_cluster import Cluster

_HERE = Path(__file__).parent
_ROLES = _HERE.parents[2] / "roles"
_WORKERS = {"worker-1": "10.1.0.11", "worker-2": "10.1.0.12"}


class Run(NamedTuple):
    """What one run of a playbook came to."""

    failed: bool
    changed: int
    messages: list[str]
    results: list[dict[str, Any]]


Playbook = Callable[..., Run]


def new_cluster(storage_class: str = "longhorn", binding: str = "WaitForFirstConsumer") -> Cluster:
    """Two workers, a control plane, Longhorn and its StorageClass; nothing of Watcher."""
    cluster = Cluster()
    for name, address in {**_WORKERS, "control-1": "10.1.0.10"}.items():
        labels = {"node-role.kubernetes.io/control-plane": ""} if name.startswith("control") else {}
        cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": labels,
                    "annotations": {"projectcalico.org/IPv4VXLANTunnelAddr": f"10.244.9.{address[-2:]}"},
                },
                "status": {
                    "addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "status": "False" if name == "worker-2" else "True"}],
                },
            }
        )
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "longhorn-system"}})
    cluster.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": storage_class},
            "provisioner": "driver.longhorn.io",
            "volumeBindingMode": binding,
        }
    )
    return cluster


@contextmanager
def served(cluster: Cluster, directory: Path) -> Iterator[tuple[KubernetesApi, Playbook]]:
    """The API of a cluster, and how to run a playbook of this directory against it."""
    inventory = {"workers": {"hosts": {name: {"ansible_host": address} for name, address in _WORKERS.items()}}}
    (directory / "inventory.json").write_text(json.dumps({"all": {"children": inventory}}))
    with KubernetesApi(cluster, directory) as api:

        def run(name: str, *arguments: str, **variables: Any) -> Run:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                # Where the client keeps what it knows of an API server's address.
                "TMPDIR": str(directory),
                "LC_ALL": "C.UTF-8",
                "KUBECONFIG": str(api.kubeconfig),
                "ANSIBLE_ROLES_PATH": str(_ROLES),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "ANSIBLE_LOCALHOST_WARNING": "false",
            }
            program = str(Path(sys.executable).parent / "ansible-playbook")
            given = ["-i", "inventory.json", "-e", json.dumps(variables), *arguments, str(_HERE / f"{name}.yml")]
            done = subprocess.run(
                [program, *given], cwd=directory, env=environment, capture_output=True, text=True, check=False
            )
            return _read(done.stdout, done.stderr)

        yield api, run


def _read(output: str, errors: str) -> Run:
    try:
        # After it comes the summary of the run.
        report, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    except ValueError:
        raise AssertionError(f"ansible-playbook said:\n{output}\n{errors}") from None
    results = [
        result
        for play in report["plays"]
        for task in play["tasks"]
        for result in task["hosts"].values()
        if not result.get("skipped")
    ]
    failures = [result for result in results if result.get("failed")]
    return Run(
        failed=any(host["failures"] or host["unreachable"] for host in report["stats"].values()),
        changed=sum(host["changed"] for host in report["stats"].values()),
        messages=[str(result.get("msg", "")) for result in failures],
        results=results,
    )


@pytest.fixture
def cluster() -> Cluster:
    """A cluster without Watcher."""
    return new_cluster()


@pytest.fixture
def api_and_playbook(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[KubernetesApi, Playbook]]:
    """The API of `cluster` and the way to run a playbook against it."""
    with served(cluster, tmp_path) as both:
        yield both


@pytest.fixture
def playbook(api_and_playbook: tuple[KubernetesApi, Playbook]) -> Playbook:
    """Runs a playbook of this directory against `cluster`."""
    return api_and_playbook[1]


@pytest.fixture
def api(api_and_playbook: tuple[KubernetesApi, Playbook]) -> KubernetesApi:
    """What `cluster` was asked to change."""
    return api_and_playbook[0]
