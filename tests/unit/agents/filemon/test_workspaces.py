"""Which workspaces pods have mounted, read from mountinfo."""

from pathlib import Path

from watcher_agents.filemon.workspaces import Mount, parse_mounts, path_in_file_system

MOUNTINFO = (
    r"24 30 0:22 / /proc rw,relatime shared:13 - proc proc rw" + "\n"
    r"30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw" + "\n"
    r"90 30 0:51 / /watcher/codes rw,relatime shared:44 - nfs4 10.43.7.9:/pvc-1 rw,vers=4.1" + "\n"
    r"91 30 0:51 /workspace/os-1-202012180 /var/lib/kubelet/pods/u/volume-subpaths/v/c/0 rw - nfs4 x rw" + "\n"
    r"92 30 0:51 /a\040b\134c /mnt/with\040space rw - nfs4 x rw" + "\n"
)


def test_the_lines_of_mountinfo_are_read_with_their_escapes_resolved() -> None:
    mounts = list(parse_mounts(MOUNTINFO))
    assert mounts[3] == Mount("0:51", "/workspace/os-1-202012180", "/var/lib/kubelet/pods/u/volume-subpaths/v/c/0")
    assert mounts[4] == Mount("0:51", "/a b\\c", "/mnt/with space")


def test_a_directory_is_found_within_its_file_system() -> None:
    mounts = list(parse_mounts(MOUNTINFO))
    assert path_in_file_system(Path("/watcher/codes/workspace"), mounts) == "/workspace"
    assert path_in_file_system(Path("/srv/workspace"), mounts) == "/srv/workspace"


def test_of_two_mounts_on_one_place_the_later_one_counts() -> None:
    over = Mount("0:60", "/other", "/watcher/codes")
    mounts = [*parse_mounts(MOUNTINFO), over]
    assert path_in_file_system(Path("/watcher/codes/workspace"), mounts) == "/other/workspace"
