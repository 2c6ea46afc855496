"""Whether inotify can see what pods write is read from the node's mounts, and what keeps it from that is named.

The lines are those of Linux 6.1 with knfsd; of an NFS mount the root field is `/` and the directory stands in the
source.
"""

from pathlib import Path
from typing import Any

import pytest

from unit.roles.loading import load

nfs_superblock = load("workspace_mount/library/nfs_superblock.py")

SERVER, PATH, POINT = "10.43.0.7", "/pvc-0f3c", "/watcher/codes"
SYSTEM = """\
24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 24 0:28 / /run/my\\040disk rw,nosuid shared:5 - tmpfs tmpfs rw,mode=755
"""
CSI = "vers=4.1,rsize=262144,wsize=262144,namlen=255,softerr,noresvport,proto=tcp,timeo=600,retrans=5,sec=sys"
IN_TREE = "vers=4.2,rsize=262144,wsize=262144,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys"


def nfs(point: str, directory: str = PATH, device: str = "0:51", options: str = CSI, server: str = SERVER) -> str:
    """A line of mountinfo, for a mount by this address."""
    kernel = f"rw,{options},clientaddr=192.0.2.11,local_lock=none,addr={server}"
    return f"90 24 {device} / {point} rw,relatime shared:9 - nfs4 {server}:{directory} {kernel}\n"


def pod(number: int, device: str = "0:51", options: str = CSI) -> str:
    """The two mounts of a student's pod: kubelet's of the whole volume, and the workspace, bound into the pod."""
    kubelet = f"/var/lib/kubelet/pods/{number}"
    return nfs(f"{kubelet}/volumes/kubernetes.io~csi/pvc/mount", PATH, device, options) + nfs(
        f"{kubelet}/volume-subpaths/pvc/code-server/0", f"{PATH}/workspace/os-1-{number}", device, options
    )


def compare(*lines: str, path: str = PATH, server: str = SERVER) -> dict[str, Any]:
    """What the module answers of a node with these mounts."""
    answer: dict[str, Any] = nfs_superblock.compare(
        nfs_superblock.parse(SYSTEM + "".join(lines)), POINT, server, path
    )
    return answer


def test_a_node_without_the_export_has_nothing_to_compare() -> None:
    """Nothing mounted, no pods, no options to take over, nothing blind."""
    assert compare() == {"mounted": False, "device": "", "pods": 0, "pod_options": "", "blind": []}


def test_a_shared_superblock_sees_every_pod() -> None:
    """Pods with our device are counted by their workspaces and none is blind."""
    found = compare(nfs(POINT), pod(1), pod(2))
    assert (found["mounted"], found["device"], found["pods"], found["blind"]) == (True, "0:51", 2, [])


def test_the_option_that_differs_is_named() -> None:
    """A pod with another device is told by its mount point and by what differs there and here."""
    found = compare(nfs(POINT), pod(1), pod(2, "0:77", CSI.replace("rsize=262144", "rsize=65536")))
    point = "/var/lib/kubelet/pods/2/volume-subpaths/pvc/code-server/0"
    assert found["blind"] == [{"point": point, "why": f"{point}: rsize=65536 there, rsize=262144 here"}]


def test_an_option_that_only_one_has_is_named() -> None:
    """A CSI mount and an in-tree mount differ by flags without a value too."""
    found = compare(nfs(POINT, options=IN_TREE), pod(1, "0:77"))
    (blind,) = found["blind"]
    assert blind["why"].endswith(
        ": no hard there, hard here, noresvport there, no noresvport here, softerr there, no softerr here,"
        " vers=4.1 there, vers=4.2 here"
    )


@pytest.mark.parametrize("difference", [("timeo=600", "timeo=150"), ("retrans=5", "retrans=3")])
def test_what_the_kernel_does_not_compare_is_no_difference(difference: tuple[str, str]) -> None:
    """Where only such options differ, the line says that it must be something else."""
    found = compare(nfs(POINT), pod(1, "0:77", CSI.replace(*difference)))
    (blind,) = found["blind"]
    assert blind["why"].endswith(": the same options, but another address or network namespace")


def test_the_pods_options_are_taken_over_as_mount_takes_them() -> None:
    """Without what belongs to the kernel, the addresses or the mount point alone."""
    assert compare(pod(1))["pod_options"] == (
        "local_lock=none,noresvport,proto=tcp,retrans=5,rsize=262144,sec=sys,softerr,timeo=600,vers=4.1,wsize=262144"
    )


def test_the_options_of_most_pods_are_taken_over() -> None:
    """One pod that was mounted otherwise, and first, does not decide for all the others."""
    assert "hard" not in compare(pod(1, "0:77", IN_TREE), pod(2), pod(3))["pod_options"]


def test_a_mount_of_all_workspaces_is_no_students_where_students_have_theirs() -> None:
    """An agent in a pod, with a mount of its own kind, neither gives its options nor counts as blind."""
    agent = "/var/lib/kubelet/pods/a/volumes/kubernetes.io~nfs/jcode-vol"
    agents = nfs(agent, PATH, "0:77", IN_TREE) + nfs(f"{agent}-subpath", f"{PATH}/workspace", "0:77", IN_TREE)
    found = compare(agents, nfs(POINT), pod(1))
    assert (found["pods"], found["blind"]) == (1, [])
    assert "softerr" in found["pod_options"]


def test_pods_that_mount_the_whole_export_count_where_there_are_no_others() -> None:
    """A site that gives its pods the whole volume is checked by those mounts."""
    found = compare(nfs(POINT), nfs("/var/lib/kubelet/pods/1/volumes/x", device="0:77", options=IN_TREE))
    assert found["pods"] == 1
    assert len(found["blind"]) == 1


@pytest.mark.parametrize(
    ("directory", "server"),
    [("/pvc-0f3c2", SERVER), ("/pvc", SERVER), (PATH, "10.43.0.8")],
    ids=["a name that begins alike", "above the export", "another server"],
)
def test_mounts_of_something_else_are_left_out(directory: str, server: str) -> None:
    """Neither another export nor another server's of the same name counts."""
    assert compare(nfs("/mnt", directory, server=server))["pods"] == 0


def test_a_server_is_known_by_its_address() -> None:
    """A mount by the server's name is of the same export."""
    line = nfs("/mnt").replace(f"nfs4 {SERVER}:", "nfs4 files.example:")
    assert compare(line)["pods"] == 1


def test_everything_of_a_servers_root_is_below_it() -> None:
    """An export that is `/` has workspaces like any other."""
    assert compare(nfs("/mnt", "/workspace/os-1-7"), path="/")["pods"] == 1


def test_the_later_of_two_mounts_at_our_point_is_ours() -> None:
    """What is mounted over another hides it."""
    assert compare(nfs(POINT, device="0:40"), nfs(POINT))["device"] == "0:51"


def test_a_directory_of_the_node_is_mounted_and_has_no_pods() -> None:
    """Where the workspaces are no NFS export there is no superblock to share."""
    bind = f"91 24 254:1 /srv/codes {POINT} rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    found = compare(bind, pod(1), server="", path="/srv/codes")
    assert (found["mounted"], found["pods"], found["blind"]) == (True, 0, [])


def test_a_blank_in_a_mount_point_is_read() -> None:
    """The kernel's octal escapes are undone."""
    assert nfs_superblock.parse(SYSTEM)[1]["point"] == "/run/my disk"


def test_the_options_of_our_unit_are_read_where_there_is_one(tmp_path: Path) -> None:
    unit = tmp_path / "watcher-codes.mount"
    assert nfs_superblock.unit_options(str(unit)) == ""
    unit.write_text("[Mount]\nWhat=10.0.0.1:/pvc\nType=nfs4\nOptions=vers=4.1,softerr\nTimeoutSec=30\n")
    assert nfs_superblock.unit_options(str(unit)) == "vers=4.1,softerr"
