"""The lab's nodes are what a roll-out meets on real ones, and nothing of them is left afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integration.lab import probe_proof
from lab.file_list import difference
from lab.fleet import SUDO_PASSWORD, Fleet
from lab.node import Node

_ANSIBLE = Path(sys.executable).parent / "ansible"
_TESTS = Path(__file__).parents[2]
_ENDLESS = """
import signal
from lab.fleet import Fleet
with Fleet(nodes=1) as fleet:
    print(fleet.host_address, flush=True)
    signal.pause()
"""


def _ansible(inventory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [_ANSIBLE, "-i", inventory, "workers", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _traces(name: str) -> list[str]:
    """What this machine shows of the fleet whose bridge has this name."""
    shown = ""
    for command in (["findmnt", "--list"], ["ip", "-o", "link"], ["nft", "list", "tables"], ["ps", "-eo", "args"]):
        shown += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    groups = [str(group) for group in Path("/sys/fs/cgroup").glob(f"**/{name}-*")]
    directory = f"fleet-{name.removeprefix('wlab')}"
    return groups + [line for line in shown.splitlines() if name in line.split() or f"/{directory}" in line]


def _bridge(fleet: Fleet) -> str:
    return f"wlab{fleet.host_address.split('.')[2]}"


@pytest.fixture(scope="module")
def node(fleet: Fleet) -> Node:
    """A node with what procmon needs from Debian."""
    node = fleet["worker-1"]
    node.install(["python3-bpfcc", "linux-libc-dev"])
    return node


def test_ansible_reaches_every_node_and_becomes_root(fleet: Fleet, tmp_path: Path) -> None:
    inventory = fleet.inventory(tmp_path / "inventory.yml")
    answer = _ansible(inventory, "--become", "--one-line", "-m", "command", "-a", "id -u")
    assert sorted(line.split(" | ")[0] for line in answer.splitlines()) == ["worker-1", "worker-2", "worker-3"]
    assert [line.rpartition(") ")[2] for line in answer.splitlines()] == ["0", "0", "0"]


def test_a_node_keeps_its_files_over_a_reboot_by_ansible(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet["worker-2"]
    node.run("touch /etc/kept")
    before = node.ssh("cat /etc/machine-id; systemctl show --property=UserspaceTimestampMonotonic").stdout
    _ansible(fleet.inventory(tmp_path / "inventory.yml"), "--limit", "worker-2", "--become", "-m", "reboot")
    after = node.ssh("cat /etc/machine-id; systemctl show --property=UserspaceTimestampMonotonic").stdout
    assert after.split()[0] == before.split()[0]
    assert after.split()[1] != before.split()[1]
    node.run("rm /etc/kept")


def test_a_node_that_is_off_can_still_be_examined_and_started_again(fleet: Fleet) -> None:
    node = fleet["worker-3"]
    node.run("logger -t lab said before the end")
    node.stop()
    assert not node.is_running
    assert "said before the end" in node.journal(SYSLOG_IDENTIFIER="lab")
    node.start()
    node.wait_until_up()


def test_the_file_list_tells_exactly_what_was_changed(fleet: Fleet) -> None:
    node = fleet["worker-3"]
    before = node.file_list()
    assert difference(before, node.file_list()) == []
    node.run("mkdir /etc/watcher; echo '#' >>/etc/hosts; chmod 600 /etc/fstab; rm /etc/motd; touch /tmp/passing")
    assert [line.split(":")[0] for line in difference(before, node.file_list())] == [
        "~ etc/fstab",
        "~ etc/hosts",
        "- etc/motd",
        "+ etc/watcher",
    ]


def test_nodes_share_one_directory_and_keep_another_to_themselves(fleet: Fleet) -> None:
    (fleet.shared / "volume").write_text("of all\n")
    for node in fleet.nodes:
        node.ssh("sudo sh -c 'hostname >/srv/workspace/name'")
    assert [n.ssh("cat /srv/shared/volume /srv/workspace/name").stdout.split("\n")[:2] for n in fleet.nodes] == [
        ["of all", node.name] for node in fleet.nodes
    ]


def test_a_node_may_set_the_limits_of_inotify_and_of_nothing_else(fleet: Fleet) -> None:
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    wanted = str(int(limit.read_text()) + 1)
    fleet["worker-1"].ssh(f"sudo sysctl -w fs.inotify.max_user_instances={wanted}")
    assert limit.read_text().strip() == wanted
    assert fleet["worker-1"].ssh("sudo sysctl -w kernel.panic=1", check=False).returncode != 0


def test_procmons_probe_sees_a_students_program_in_a_node(fleet: Fleet, node: Node) -> None:
    node.login.copy(probe_proof.AGENTS, probe_proof.PLACE)
    assert node.ssh(probe_proof.COMMAND).stdout == "2\n"


def test_nothing_is_left_of_a_fleet_and_its_limits_are_put_back() -> None:
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    before = limit.read_text()
    with Fleet(nodes=1, sudo_password_on=["worker-1"]) as fleet:
        node = fleet["worker-1"]
        assert node.ssh("sudo --non-interactive true", check=False).returncode != 0
        node.ssh(f"echo {SUDO_PASSWORD} | sudo --stdin sysctl -w fs.inotify.max_user_watches={int(before) + 1}")
        name = _bridge(fleet)
        assert _traces(name) != []
    assert _traces(name) == []
    assert limit.read_text() == before


def test_what_a_killed_run_has_left_is_taken_down_by_the_next() -> None:
    killed = subprocess.Popen([sys.executable, "-c", _ENDLESS], cwd=_TESTS, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    name = f"wlab{killed.stdout.readline().split('.')[2]}"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert name in " ".join(_traces(name))
    with Fleet(nodes=1) as fleet:
        # The number is free again, so that the next run gets it.
        assert _bridge(fleet) == name
    assert _traces(name) == []
