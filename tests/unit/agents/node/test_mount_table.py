"""What the node's mounts tell: which is a pod's, and how to mount an export the same way."""

from watcher_agents.mounts import parse_mountinfo
from watcher_agents.node.mount_table import mounted_at, nfs_options, pod_mount_of

TABLE = parse_mountinfo("""\
25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 25 0:40 / /run rw,nosuid - tmpfs tmpfs rw,size=100k
31 25 0:50 / /watcher/codes ro,nosuid,relatime shared:7 - nfs4 10.0.0.1:/pvc-1 rw,seclabel,vers=4.1,rsize=1048576,\
hard,proto=tcp,sec=sys,clientaddr=10.0.0.9,addr=10.0.0.1
32 25 0:51 / /var/lib/kubelet/pods/other rw - nfs4 10.0.0.1:/pvc-2 rw,vers=4.1
33 30 0:52 / /run/watcher/watcher-canary-1/export rw - nfs4 10.0.0.1:/pvc-1 rw,vers=4.1,rsize=4096
34 25 0:52 / /var/lib/kubelet/pods/uid/volumes/x rw,relatime - nfs4 10.0.0.1:/pvc-1/workspace/os-1-7 \
rw,vers=4.1,rsize=4096,soft,addr=10.0.0.1
""")
CODES = TABLE[2]


def test_of_two_mounts_at_one_point_the_later_counts() -> None:
    hidden, shown = parse_mountinfo("1 0 0:1 / /a rw - tmpfs x rw\n2 1 0:2 / /a rw - tmpfs y rw\n")
    assert mounted_at("/a", [hidden, shown]) == shown
    assert mounted_at("/b", [hidden, shown]) is None


def test_a_pods_mount_is_of_the_same_export_and_not_our_own() -> None:
    found = pod_mount_of(CODES, TABLE, "/run/watcher")
    assert found is not None
    assert found.point == "/var/lib/kubelet/pods/uid/volumes/x"
    assert pod_mount_of(CODES, TABLE[:5], "/run/watcher") is None


def test_an_export_is_mounted_again_writable_and_without_what_mount_does_not_take() -> None:
    options = "rw,nosuid,relatime,vers=4.1,rsize=1048576,hard,proto=tcp,sec=sys"
    assert nfs_options(CODES) == options
