"""Which workspaces a node watches."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents.filemon.workspaces import Found, PodMounts, choose_mode


def test_auto_means_pods_where_kubelet_keeps_pods_and_all_elsewhere(tmp_path: Path) -> None:
    assert choose_mode("auto", tmp_path) == "pods"
    assert choose_mode("auto", tmp_path / "missing") == "all"


def test_a_mode_that_was_set_is_the_mode(tmp_path: Path) -> None:
    assert choose_mode("all", tmp_path) == "all"
    assert choose_mode("pods", tmp_path / "missing") == "pods"


OPTIONS = "rw,vers=4.1,rsize=1048576,hard,addr=10.0.0.1"
OWN = f"60 1 0:70 / {{root}} rw,relatime - nfs4 10.0.0.1:/pvc-1 {OPTIONS}\n"


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Callable[[str], Found]]:
    """What is found with the watch root on an NFS mount and these other mounts on the node."""
    with closing(PodMounts(tmp_path / "codes" / "workspace")) as pod_mounts:
        (tmp_path / "codes" / "workspace").mkdir(parents=True)
        own = OWN.format(root=tmp_path / "codes")
        yield lambda others: pod_mounts.found(own, own + others)


def pod(device: str, source: str, options: str = OPTIONS, point: str = "/pods/uid-1") -> str:
    """A pod's mount, as the kernel shows one of NFS: the root is always `/`, the directory is in the source."""
    return f"70 1 {device} / {point} rw,relatime - nfs4 {source} {options}\n"


def test_a_pods_workspace_on_our_superblock_is_found(look: Callable[[str], Found]) -> None:
    found = look(pod("0:70", "10.0.0.1:/pvc-1/workspace/os-1-7"))
    assert found == Found({b"os-1-7": frozenset({"/pods/uid-1"})}, {})


def test_a_workspace_is_found_once_with_each_point_that_it_is_mounted_at(look: Callable[[str], Found]) -> None:
    source = "10.0.0.1:/pvc-1/workspace/os-1-7"
    found = look(pod("0:70", source) + pod("0:70", source, point="/pods/uid-2"))
    assert found.workspaces == {b"os-1-7": frozenset({"/pods/uid-1", "/pods/uid-2"})}


def test_a_workspace_on_another_superblock_is_blind_and_the_options_that_differ_are_named(
    look: Callable[[str], Found],
) -> None:
    options = OPTIONS.replace("rsize=1048576,hard", "rsize=524288,hard")
    found = look(pod("0:71", "10.0.0.1:/pvc-1/workspace/os-1-7", options))
    assert found.workspaces.keys() == {b"os-1-7"}
    assert found.blind == {b"os-1-7": "mounted at /pods/uid-1 with rsize=524288 against rsize=1048576"}


@pytest.mark.parametrize(
    ("device", "source", "options"),
    [
        ("0:71", "10.0.0.2:/pvc-1/workspace/os-1-7", OPTIONS.replace("10.0.0.1", "10.0.0.2")),
        ("0:71", "10.0.0.1:/pvc-2/workspace/os-1-7", OPTIONS),
        ("0:70", "10.0.0.1:/pvc-1/os-1-7", OPTIONS),
        ("0:70", "10.0.0.1:/pvc-1/workspace/os-1-7/hw1", OPTIONS),
        ("0:70", "10.0.0.1:/pvc-1/workspace/lost+found", OPTIONS),
        ("0:70", "10.0.0.1:/pvc-1", OPTIONS),
    ],
)
def test_what_is_no_workspace_of_our_export_is_not_found(
    look: Callable[[str], Found], device: str, source: str, options: str
) -> None:
    assert look(pod(device, source, options)) == Found({}, {})


def test_pods_that_have_the_whole_export_by_another_superblock_make_all_blind(
    look: Callable[[str], Found],
) -> None:
    options = OPTIONS.replace("hard", "softerr")
    point = "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pvc-1/mount"
    found = look(pod("0:71", "10.0.0.1:/pvc-1", options, point))
    assert found == Found({}, {b"": f"mounted at {point} with softerr against hard"})
    # By ours, or not a pod's at all: nothing is wrong.
    assert look(pod("0:70", "10.0.0.1:/pvc-1", OPTIONS, point)).blind == {}
    assert look(pod("0:71", "10.0.0.1:/pvc-1", options, "/mnt/backup")).blind == {}


def test_the_volume_that_kubelet_makes_a_workspaces_mount_from_is_not_what_the_pod_has(
    look: Callable[[str], Found],
) -> None:
    options = OPTIONS.replace("hard", "softerr")
    directory = "/var/lib/kubelet/pods/uid-1"
    volume = pod("0:71", "10.0.0.1:/pvc-1", options, f"{directory}/volumes/kubernetes.io~csi/pvc-1/mount")
    workspace = f"{directory}/volume-subpaths/pvc-1/jcode/0"
    found = look(volume + pod("0:71", "10.0.0.1:/pvc-1/workspace/os-1-7", options, workspace))
    assert found.blind == {b"os-1-7": f"mounted at {workspace} with softerr against hard"}
