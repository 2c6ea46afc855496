"""The backend's role against a cluster: what it brings in, what it refuses, what it keeps and what it leaves."""

import base64
import json
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from lab.kubernetes_api import KubernetesApi
from lab.kubernetes_cluster import Cluster
from lab.kubernetes_objects import ApiError

from .conftest import Playbook, Run, new_cluster, served

_GIVEN = {
    "backend_image_tag": "0.2.0",
    "backend_registry_username": "robot",
    "backend_registry_password": "s3cret",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cluster after two equal runs: the runs, its objects and every request that changed them."""
    directory: Path = tmp_path_factory.mktemp("installed")
    cluster = new_cluster()
    with served(cluster, directory) as (api, playbook):
        runs = [playbook("backend", entries=["main", "verify", "url"], **_GIVEN) for _ in range(2)]
    return runs, cluster, api.writes


def test_a_second_run_changes_nothing(installed: tuple[list[Run], Cluster, Any]) -> None:
    """Applied twice, the first run installs a backend that verifies and the second leaves all as it is."""
    first, second = installed[0]
    assert (first.messages, second.messages) == ([], [])
    assert first.changed > 0
    assert second.changed == 0


def test_every_manifest_is_valid(installed: tuple[list[Run], Cluster, Any]) -> None:
    """What the role sends passes Kubernetes's own schemas, unknown fields refused, from 1.25 to the newest."""
    sent = [write.body for write in installed[2] if write.method == "POST" and not write.dry_run]
    checked = [item for item in sent if item["kind"] != "ServiceMonitor"]  # a CRD: its schema is not Kubernetes's
    assert {item["kind"] for item in checked} == {
        "Namespace",
        "Secret",
        "PersistentVolumeClaim",
        "Deployment",
        "Service",
        "EndpointSlice",
        "NetworkPolicy",
        "ConfigMap",
    }
    for item in checked:
        for version in ("1.25.0", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(item, version, strict=True)


def test_agents_get_the_clusterip(installed: tuple[list[Run], Cluster, Any]) -> None:
    """The agents' address of the backend is the Service's ClusterIP, which needs no cluster DNS."""
    runs, cluster, _ = installed
    address = cluster.get("Service", "watcher-backend-service", "watcher")["spec"]["clusterIP"]
    assert runs[0].results[-2]["ansible_facts"]["backend_api_url"] == f"http://{address}:3000"


def test_nodes_and_their_tunnels_may_reach_the_backend(installed: tuple[list[Run], Cluster, Any]) -> None:
    """The NetworkPolicy lets in each node by its own address and by that of its end of the overlay."""
    policy = installed[1].get("NetworkPolicy", "watcher-backend", "watcher")
    blocks = {peer["ipBlock"]["cidr"] for peer in policy["spec"]["ingress"][0]["from"] if "ipBlock" in peer}
    assert blocks == {f"{net}.{last}/32" for net in ("10.1.0", "10.244.9") for last in (10, 11, 12)}


def test_check_mode_on_an_empty_cluster(playbook: Playbook, api: KubernetesApi) -> None:
    """Before anything is there, --check --diff passes, tells what would come and changes nothing."""
    run = playbook("backend", "--check", "--diff", entries=["preflight", "main", "verify", "url"], **_GIVEN)
    assert run.messages == []
    assert run.changed > 0
    assert [write for write in api.writes if not write.dry_run] == []


def test_preflight_names_all_that_is_wrong(tmp_path: Path) -> None:
    """Two replicas on SQLite, no StorageClass, no pull secret and no tag are told at once; nothing is changed."""
    with served(new_cluster(storage_class="ceph"), tmp_path) as (api, playbook):
        run = playbook("backend", entries=["main"], backend_replicas=2)
    message = run.messages[-1]
    assert 'backend_image_tag is "": expected' in message
    assert "backend_replicas is 2 with backend_db_url on SQLite" in message
    assert "StorageClass longhorn does not exist: expected backend_storage_class to be one of ceph" in message
    assert "Secret watcher-harbor-registry-secret does not exist in namespace watcher" in message
    assert "\n" not in message
    assert api.writes == []


def test_a_cluster_of_before_is_taken_over(cluster: Cluster, playbook: Playbook) -> None:
    """Take-over keeps claims and ClusterIP; uninstall keeps claims, and with the data still those of others."""
    _bring_in_the_system_of_before(cluster)
    run = playbook("backend", entries=["main", "verify"], **_GIVEN)
    assert run.messages == []
    assert cluster.get("Service", "watcher-backend-service", "watcher")["spec"]["clusterIP"] == "10.96.0.77"
    assert cluster.get("Service", "watcher-filemon", "watcher")["spec"]["clusterIP"] == "None"
    assert cluster.get("Deployment", "watcher-backend", "watcher")["spec"]["strategy"] == {"type": "Recreate"}
    claim = cluster.get("PersistentVolumeClaim", "watcher-backend-pvc", "watcher")
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"

    assert playbook("backend", entries=["uninstall"], **_GIVEN).messages == []
    assert [item["metadata"]["name"] for item in cluster.find("PersistentVolumeClaim", "watcher")] == [
        "jcode-vol-pvc",
        "watcher-backend-pvc",
        "watcher-filemon-storage-pvc",
    ]
    assert cluster.find("Deployment", "watcher") + cluster.find("Service", "watcher") == []

    assert playbook("backend", entries=["uninstall"], backend_remove_data=True, **_GIVEN).messages == []
    assert [item["metadata"]["name"] for item in cluster.find("PersistentVolumeClaim", "watcher")] == [
        "jcode-vol-pvc"
    ]


def test_a_namespace_of_ones_own_goes_with_the_data(cluster: Cluster, playbook: Playbook) -> None:
    """Uninstalled with its data, a backend that was alone in its namespace leaves nothing."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "watcher"}})
    _claim(cluster, "watcher-backend-pvc", "10Gi")
    assert playbook("backend", entries=["uninstall"], backend_remove_data=True, **_GIVEN).messages == []
    with pytest.raises(ApiError, match="not found"):
        cluster.get("Namespace", "watcher")


def test_an_image_that_cannot_be_pulled(cluster: Cluster, playbook: Playbook) -> None:
    """A roll-out that does not come to its end fails with the pod's own reason."""
    cluster.unpullable_images.add("harbor.jbnu.ac.kr/jdevops/watcher-backend:0.2.0")
    run = playbook("backend", entries=["main"], backend_wait_seconds=1, **_GIVEN)
    assert run.failed
    assert "watcher-backend is not ready after 1 s: ImagePullBackOff: Back-off pulling image" in run.messages[-1]


def test_postgresql_keeps_its_password_in_a_secret(
    cluster: Cluster, playbook: Playbook, api: KubernetesApi
) -> None:
    """On PostgreSQL two replicas roll over one by one, and the password is in the Secret alone."""
    url = "postgresql://watcher:hunter2@db.example.edu/watcher"
    run = playbook("backend", entries=["main"], backend_db_url=url, backend_replicas=2, **_GIVEN)
    assert run.messages == []
    deployment = cluster.get("Deployment", "watcher-backend", "watcher")
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert deployment["status"]["availableReplicas"] == 2
    encoded = base64.b64encode(url.encode()).decode()
    assert cluster.get("Secret", "watcher-backend-database", "watcher")["data"]["DB_URL"] == encoded
    others = [write.body for write in api.writes if write.body and write.body["kind"] != "Secret"]
    assert "hunter2" not in json.dumps([others, run.results])
    assert "s3cret" not in json.dumps([others, run.results])


def _bring_in_the_system_of_before(cluster: Cluster) -> None:
    placed = {"namespace": "watcher"}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "watcher"}})
    for name, size in (
        ("watcher-backend-pvc", "50Gi"),
        ("watcher-filemon-storage-pvc", "30Gi"),
        ("jcode-vol-pvc", "10Gi"),
    ):
        _claim(cluster, name, size)
    for name, port, address in (
        ("watcher-backend-service", 3000, "10.96.0.77"),
        ("watcher-filemon", 9090, "10.96.0.78"),
        ("watcher-procmon", 9090, "10.96.0.79"),
    ):
        spec = {
            "selector": {"app": name.removesuffix("-service")},
            "ports": [{"port": port}],
            "clusterIP": address,
        }
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {**placed, "name": name}}
        cluster.create({**service, "spec": spec})
    labels = {"app": "watcher-backend"}
    container = {"name": "watcher-backend", "image": "harbor.jbnu.ac.kr/jdevops/watcher-backend:20250729-1"}
    cluster.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**placed, "name": "watcher-backend"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
    )


def _claim(cluster: Cluster, name: str, size: str) -> None:
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "longhorn",
        "resources": {"requests": {"storage": size}},
    }
    placed = {"name": name, "namespace": "watcher"}
    cluster.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": placed, "spec": spec})
