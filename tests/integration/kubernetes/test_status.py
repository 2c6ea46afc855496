"""A node of the cluster on which no agent lives is named, whether the inventory knows it or not."""

from pathlib import Path

import pytest

from lab.kubernetes_cluster import Cluster

from .conftest import Playbook

_PLAYBOOKS = "../../../playbooks"


@pytest.fixture
def backend_group(tmp_path: Path) -> str:
    """An inventory's group for the machine that talks to the cluster."""
    path = tmp_path / "backend.yml"
    path.write_text("backend:\n  hosts:\n    localhost:\n")
    return str(path)


def test_status_names_nodes_of_the_cluster_without_a_live_agent(
    cluster: Cluster, playbook: Playbook, backend_group: str
) -> None:
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "worker-3"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.1.0.13"}]},
        }
    )
    run = playbook(f"{_PLAYBOOKS}/status", "-i", backend_group, ansible_connection="local", ansible_become=False)
    notes = [
        result["ansible_stats"]["data"]["watcher_notes"]
        for result in run.results
        if "watcher_notes" in result.get("ansible_stats", {}).get("data", {})
    ]
    assert notes == [[f"cluster node worker-{number}: no live agent" for number in (1, 2, 3)]]


def test_workers_are_read_from_the_cluster_where_the_inventory_says_so(
    playbook: Playbook, backend_group: str, tmp_path: Path
) -> None:
    """Its worker nodes, by their names and addresses there, and not its control plane."""
    (tmp_path / "show.yml").write_text(
        f"- ansible.builtin.import_playbook: {Path(__file__).parents[3]}/playbooks/cluster_workers.yml\n"
        "- hosts: workers\n"
        "  gather_facts: false\n"
        "  tasks:\n"
        "    - ansible.builtin.debug:\n"
        "        msg: '{{ inventory_hostname }} {{ ansible_host }}'\n"
    )
    arguments = ("-i", backend_group, "--limit", "all:!worker-1")
    run = playbook(
        str(tmp_path / "show"), *arguments, ansible_connection="local", watcher_workers_from_cluster=True
    )
    shown = [result["msg"] for result in run.results if result.get("msg", "").startswith("worker")]
    assert shown == ["worker-2 10.1.0.12"]
