"""Where a claim's export is, said so that a node without the cluster's names can mount it."""

from typing import Any

from lab.kubernetes_cluster import Cluster

from .conftest import Playbook, Run

_OPTIONS = "vers=4.1,noresvport,timeo=600,retrans=5,softerr"
_SETTINGS: dict[str, Any] = {
    "workspace_mount_create_claim": True,
    "workspace_mount_snapshot_export": "10.43.0.7:/pvc-given",
}


def _shown(run: Run) -> Any:
    assert run.messages == []
    return run.results[-1]["msg"]


def test_the_claim_is_made_served_and_found(cluster: Cluster, playbook: Playbook) -> None:
    """Asked to, the role makes claim and pod once; the export is the ClusterIP of Longhorn's Service for it."""
    first = playbook("workspaces", **_SETTINGS)
    found = _shown(first)
    volume = cluster.get("PersistentVolumeClaim", "jcode-vol-pvc", "watcher")["spec"]["volumeName"]
    server = cluster.get("Service", volume, "longhorn-system")["spec"]["clusterIP"]
    assert found["workspace"] == {
        "server": server,
        "path": f"/{volume}",
        "options": _OPTIONS,
        "from": "claim watcher/jcode-vol-pvc",
    }
    assert found["snapshots"]["server"] == "10.43.0.7"
    assert found["snapshots"]["path"] == "/pvc-given"
    assert found["nodes"] == [
        {"name": "worker-1", "address": "10.1.0.11", "ready": True, "schedulable": True},
        {"name": "worker-2", "address": "10.1.0.12", "ready": False, "schedulable": True},
    ]
    second = playbook("workspaces", **_SETTINGS)
    assert (first.changed > 0, second.changed) == (True, 0)


def test_a_missing_claim_names_those_there_are(cluster: Cluster, playbook: Playbook) -> None:
    """A claim that is not there fails in one line with the ReadWriteMany claims that are."""
    _claim(cluster, "workspaces", "longhorn")
    run = playbook("workspaces", **{**_SETTINGS, "workspace_mount_create_claim": False})
    assert "claim watcher/jcode-vol-pvc does not exist" in run.messages[0]
    assert "ReadWriteMany claims watcher/workspaces" in run.messages[0]


def test_a_claim_that_no_pod_uses(cluster: Cluster, playbook: Playbook) -> None:
    """A claim that waits for its first pod is told as not bound."""
    _claim(cluster, "jcode-vol-pvc", "longhorn")
    run = playbook("workspaces", **{**_SETTINGS, "workspace_mount_create_claim": False})
    assert "claim watcher/jcode-vol-pvc is Pending: expected it to be Bound" in run.messages[0]


def test_a_bound_claim_without_share_manager(cluster: Cluster, playbook: Playbook) -> None:
    """A volume that Longhorn does not serve, as no pod uses it, is told before a mount would hang."""
    cluster.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "at-once"},
            "provisioner": "driver.longhorn.io",
            "volumeBindingMode": "Immediate",
        }
    )
    _claim(cluster, "jcode-vol-pvc", "at-once")
    run = playbook("workspaces", **{**_SETTINGS, "workspace_mount_create_claim": False})
    assert "has no ClusterIP or no running share-manager: expected a pod to use the claim" in run.messages[0]


def test_an_nfs_volume_is_mounted_as_its_pods_do(cluster: Cluster, playbook: Playbook) -> None:
    """A claim on an in-tree NFS volume gives that volume's server, path and mount options."""
    spec = {
        "nfs": {"server": "10.1.0.200", "path": "/srv/workspaces"},
        "mountOptions": ["vers=4.2", "hard"],
        "accessModes": ["ReadWriteMany"],
    }
    cluster.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "nfs-1"}, "spec": spec})
    _claim(cluster, "jcode-vol-pvc", "longhorn", "nfs-1")
    claim_pod = playbook("workspaces", **_SETTINGS)
    assert _shown(claim_pod)["workspace"] == {
        "server": "10.1.0.200",
        "path": "/srv/workspaces",
        "options": "vers=4.2,hard",
        "from": "claim watcher/jcode-vol-pvc",
    }


def _claim(cluster: Cluster, name: str, storage_class: str, volume: str = "") -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "watcher"}})
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "10Gi"}},
    }
    if volume:
        spec["volumeName"] = volume
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "watcher"},
    }
    cluster.create({**claim, "spec": spec})
