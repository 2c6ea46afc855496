"""What the node's mounts tell: which holds a path, which is a pod's, and how to mount an export the same way."""

import pytest

from watcher_agents.node.mount_table import (
    differing_options,
    mount_holding,
    mounted_at,
    nfs_options,
    parse_table,
    pod_mount_of,
)

TABLE = parse_table("""\
25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 25 0:40 / /run rw,nosuid - tmpfs tmpfs rw,size=100k
31 25 0:50 / /watcher/codes ro,nosuid,relatime shared:7 - nfs4 10.0.0.1:/pvc-1 rw,seclabel,vers=4.1,rsize=1048576,\
hard,proto=tcp,sec=sys,clientaddr=10.0.0.9,addr=10.0.0.1
32 25 0:51 / /var/lib/kubelet/pods/other rw - nfs4 10.0.0.1:/pvc-2 rw,vers=4.1
33 30 0:52 / /run/watcher/watcher-canary-1/export rw - nfs4 10.0.0.1:/pvc-1 rw,vers=4.1,rsize=4096
34 25 0:52 /workspace/os-1-7 /var/lib/kubelet/pods/uid/volumes/x rw,relatime - nfs4 10.0.0.1:/pvc-1 \
rw,vers=4.1,rsize=4096,soft,addr=10.0.0.1
""")
CODES = TABLE[2]


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/watcher/codes/workspace", "/watcher/codes"),
        ("/watcher/codes", "/watcher/codes"),
        ("/watcher/codes2", "/"),
        ("/run/x", "/run"),
    ],
)
def test_a_path_is_held_by_the_nearest_mount_above_it(path: str, point: str) -> None:
    assert mount_holding(path, TABLE).mount.point == point


def test_of_two_mounts_at_one_point_the_later_counts() -> None:
    hidden, shown = parse_table("1 0 0:1 / /a rw - tmpfs x rw\n2 1 0:2 / /a rw - tmpfs y rw\n")
    assert mounted_at("/a", [hidden, shown]) == mount_holding("/a/b", [hidden, shown]) == shown
    assert mounted_at("/b", [hidden, shown]) is None


def test_a_pods_mount_is_of_the_same_export_and_not_our_own() -> None:
    found = pod_mount_of(CODES, TABLE, "/run/watcher")
    assert found is not None
    assert found.mount.point == "/var/lib/kubelet/pods/uid/volumes/x"
    assert pod_mount_of(CODES, TABLE[:5], "/run/watcher") is None


def test_an_export_is_mounted_again_writable_and_without_what_mount_does_not_take() -> None:
    options = "rw,nosuid,relatime,vers=4.1,rsize=1048576,hard,proto=tcp,sec=sys"
    assert nfs_options(CODES) == options


def test_the_options_in_which_two_mounts_differ_are_named() -> None:
    assert differing_options(TABLE[4], TABLE[5]) == "nothing against addr=10.0.0.1,soft"
    assert differing_options(CODES, CODES) == ""
