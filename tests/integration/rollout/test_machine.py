"""A node with a kernel of its own and real NFS, installed by one command. What NFS does then is tested in nfs/."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.kubernetes.conftest import new_cluster
from integration.release.container_image import IMAGE
from integration.rollout.conftest import Releases
from integration.rollout.machine_backend import PlayedBackend, as_played, sent_manifests
from integration.rollout.machine_image_volume import MOUNT, image_volume
from lab.kubernetes_api import KubernetesApi
from lab.machine import NAME, Machine
from lab.machine_image import EXPORTS
from lab.machine_pods import CSI_OPTIONS, Pod, mount_pod, running_pod, start_pod
from lab.playbooks import Playbooks, Run
from lab.waiting import wait_for

# An emulated machine: a task of Ansible takes some seconds. What roles do, test_fleet.py proves in `make test`.
pytestmark = [pytest.mark.timeout(900), pytest.mark.long]

WORKSPACE = "os-1-202012180"
OTHER_WORKSPACE = "os-1-202012181"
_TAG = "lab-1"
_AGENTS = ("filemon", "procmon")
_SLOW_SECONDS = 120.0


@dataclass(frozen=True)
class Site:
    """The installed machine: the backend and a student's pod run, and `installed` is the run that did it."""

    machine: Machine
    playbooks: Playbooks
    backend: PlayedBackend
    address: str
    pod: Pod
    installed: Run

    @property
    def export(self) -> str:
        """The workspaces' volume."""
        return f"{self.address}:{EXPORTS[0]}"

    def unit(self, agent: str, *properties: str) -> list[str]:
        """Properties of an agent's unit, as systemd tells them."""
        names = " ".join(f"--property={name}" for name in properties)
        lines = self.machine.ssh(f"systemctl show {names} watcher-{agent}").stdout.splitlines()
        told = dict(line.partition("=")[::2] for line in lines)
        return [told[name] for name in properties]

    def metric(self, agent: str, name: str) -> float:
        """An agent's metric; NaN while it does not serve any."""
        port = {"filemon": 9090, "procmon": 9091}[agent]
        ask = f'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:{port}/metrics").read().decode())'
        for line in self.machine.ssh(f"python3 -c '{ask}'", check=False).stdout.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return float("nan")

    def wait_for_save(self, path: str, content: str) -> None:
        """Wait until this version of a file in the pod's workspace is at the backend, its content with it."""

        def found() -> bool:
            events = self.backend.events(self.pod.workspace, "snapshot")
            named = [event for event in events if event["filename"] == Path(path).name and event["sha256"]]
            return any(self.backend.content(event) == content for event in named)

        wait_for(found, f"{path} with {content!r} to be recorded", _SLOW_SECONDS)

    def save(self, path: str, content: str) -> None:
        """Save as the student, and expect it to be recorded."""
        self.pod.save(path, content)
        self.wait_for_save(path, content)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose podman has the backend's image."""
    with Machine(image_volume(tmp_path_factory.mktemp("image"), _TAG)) as running:
        running.login.run("sudo sh", text=MOUNT)
        yield running


@pytest.fixture(scope="module")
def site(machine: Machine, releases: Releases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Set up as a site is: volumes and pods are there first, then the backend comes, then the agents."""
    directory = tmp_path_factory.mktemp("site")
    address = machine.ssh(
        "ip -json -4 address show dev eth0 | python3 -c"
        ' \'import json, sys; print(json.load(sys.stdin)[0]["addr_info"][0]["local"])\''
    ).stdout.strip()
    pod = start_pod(machine, f"{address}:{EXPORTS[0]}", WORKSPACE)
    pod.save("hw1/before.c", "/* saved before Watcher came */\n")
    backend = PlayedBackend(machine, address)
    workers = machine.inventory(
        directory / "hosts.yml",
        common_release_version=releases.first,
        common_release_archive=releases.archive(releases.first),
        workspace_mount_workspace_export=f"{address}:{EXPORTS[0]}",
        workspace_mount_snapshot_export=f"{address}:{EXPORTS[1]}",
        backend_agent_address=address,
    )
    with KubernetesApi(new_cluster(), directory) as api:
        cluster = directory / "cluster.yml"
        cluster.write_text(yaml.safe_dump(_cluster_inventory(api, backend)))
        playbooks = Playbooks(workers, cluster)
        playbooks.succeed("site", "--limit", "backend")
        machine.login.run("sudo podman play kube -", text=as_played(sent_manifests(api.writes)), seconds=300.0)
        wait_for(lambda: backend.answers("/readyz"), "the backend to be ready", _SLOW_SECONDS)
        installed = playbooks.succeed("site")
        yield Site(machine, playbooks, backend, address, pod, installed)


def _cluster_inventory(api: KubernetesApi, backend: PlayedBackend) -> object:
    here = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
    }
    settings = {
        "backend_kubeconfig": str(api.kubeconfig),
        "backend_image": IMAGE,
        "backend_image_tag": _TAG,
        "backend_registry_secret": "",
        "backend_url_from": "given",
        "backend_url": backend.url,
    }
    return {"all": {"children": {"backend": {"hosts": {"localhost": here}}}, "vars": settings}}


def test_one_command_installs_and_proves_the_whole_way(site: Site, record_property: Any) -> None:
    """From a student's save, build and run to REST, all of it proved; nothing was left out."""
    record_property("first install and proof on an emulated machine, seconds", site.installed.seconds)
    assert site.installed.summary.count("proved in") == len(_AGENTS), site.installed.summary
    assert "not proved" not in site.installed.summary
    assert site.machine.ssh("ls -d /lib/modules/*/build /usr/src/linux-headers*", check=False).stdout == ""
    assert site.metric("procmon", "watcher_ready") == 1


def test_the_backend_has_the_least_rights(site: Site) -> None:
    """Played from the role's manifest, it serves without root, capabilities and a file system to write."""
    assert site.backend.answers("/healthz")
    process = site.machine.ssh(
        "sudo podman inspect watcher-backend-pod-0-watcher-backend --format '{{.State.Pid}}'"
    )
    pid = process.stdout.strip()
    status = site.machine.ssh(f"cat /proc/{pid}/status").stdout
    assert "Uid:\t10001\t10001\t10001\t10001\n" in status
    assert "CapBnd:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\n" in status
    root = site.machine.ssh(f"sudo cat /proc/{pid}/mountinfo | awk '$5 == \"/\" {{print $6}}'").stdout
    assert root.startswith("ro,")


def test_the_mount_takes_over_the_pods_options(site: Site) -> None:
    """So the kernel gives both one superblock, and filemon sees what the student saves as it happens."""
    options = site.machine.ssh("findmnt --noheadings --output OPTIONS /watcher/codes").stdout.strip().split(",")
    assert set(CSI_OPTIONS.split(",")) <= set(options)
    assert site.pod.device() == site.machine.ssh("stat --format=%d /watcher/codes").stdout.strip()
    assert site.metric("filemon", "watcher_workspaces") == 1
    site.wait_for_save("hw1/before.c", "/* saved before Watcher came */\n")
    site.save("hw1/hello.c", "int main(void) { return 0; }\n")
    (event,) = [each for each in site.backend.events(WORKSPACE, "snapshot") if each["filename"] == "hello.c"]
    assert not event["recovered"]


def test_a_blind_mount_is_told_with_the_option_that_differs(site: Site) -> None:
    """A pod's mount with a superblock of its own: metric, status and verify name it until it has gone."""
    with running_pod(site.machine, site.export, OTHER_WORKSPACE, f"{CSI_OPTIONS},rsize=65536") as blind:
        assert blind.device() != site.pod.device()
        wait_for(lambda: site.metric("filemon", "watcher_blind_workspaces") == 1, "the blind mount to be counted")
        # The line follows at the agent's next sign of life.
        told = re.compile(r"PROBLEM inotify is blind to 1 workspaces: .*\brsize=65536\b")
        wait_for(lambda: told.match(site.unit("filemon", "StatusText")[0]), "status to tell of the blind mount")
        refused = site.playbooks.run("verify", "--limit", "workers")
        assert refused.failed() == {NAME}
        assert re.search(r"blind to them: \S+: rsize=65536 there, rsize=\d+ here$", refused.summary, re.MULTILINE)
    wait_for(lambda: site.metric("filemon", "watcher_blind_workspaces") == 0, "the blind mount to be forgotten")
    wait_for(lambda: not site.unit("filemon", "StatusText")[0].startswith("PROBLEM"), "filemon to be well again")


def test_all_comes_back_after_a_reboot_with_a_server_that_is_late(site: Site) -> None:
    """The node starts without its NFS server: once that is there, mounts and agents are, without anyone's help."""
    timer = "[Timer]\nOnBootSec=45\nUnit=nfs-server.service\n[Install]\nWantedBy=timers.target\n"
    site.machine.login.run("sudo tee /etc/systemd/system/late-nfs.timer >/dev/null", text=timer)
    site.machine.ssh("sudo systemctl disable nfs-server && sudo systemctl enable late-nfs.timer podman-restart")
    try:
        site.machine.reboot(all_units=False)
        wait_for(
            lambda: all(site.metric(agent, "watcher_ready") == 1 for agent in _AGENTS),
            "the agents to be ready",
            240.0,
        )
        wait_for(lambda: site.backend.answers("/readyz"), "the backend to be ready", _SLOW_SECONDS)
    finally:
        site.machine.ssh("sudo systemctl disable late-nfs.timer && sudo systemctl enable nfs-server")
    mount_pod(site.pod, site.export)
    assert site.pod.device() == site.machine.ssh("stat --format=%d /watcher/codes").stdout.strip()
    site.save("hw1/after-reboot.c", "/* saved after the reboot */\n")
    told = json.loads(site.machine.ssh("sudo /opt/watcher/current/venv/bin/watcher-agent status --json").stdout)
    assert {point: mount["state"] for point, mount in told["mounts"].items()} == {
        "/watcher/codes": "mounted",
        "/watcher/snapshots": "mounted",
    }
