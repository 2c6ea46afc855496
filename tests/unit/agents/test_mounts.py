"""Paths of a mount namespace are named as their file systems name them."""

import pytest

from watcher_agents.mounts import Mount, parse_mountinfo, path_in_file_system

MOUNTINFO = """\
700 600 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a
701 700 0:60 /workspace/os-1-202012180 /home/coder/project rw,relatime - nfs4 10.0.0.1:/export rw,vers=4.2
702 700 0:5 / /dev rw,nosuid - devtmpfs udev rw
703 700 8:1 /with\\040space /mnt/a\\040b rw - ext4 /dev/sda1 rw
704 701 0:61 /later /home/coder/project/over rw - tmpfs tmpfs rw
705 701 0:62 /latest /home/coder/project/over rw - tmpfs tmpfs rw
"""


def test_mountinfo_is_read() -> None:
    """Root and mount point of each, escapes resolved."""
    mounts = parse_mountinfo(MOUNTINFO)
    assert mounts[1] == Mount("0:60", "/workspace/os-1-202012180", "/home/coder/project")
    assert mounts[3] == Mount("8:1", "/with space", "/mnt/a b")


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/home/coder/project/hw1/a.out", "/workspace/os-1-202012180/hw1/a.out"),
        ("/home/coder/project", "/workspace/os-1-202012180"),
        ("/home/coder/projects/hw1", "/home/coder/projects/hw1"),
        ("/usr/bin/gcc", "/usr/bin/gcc"),
        ("/", "/"),
        ("/dev", "/"),
        ("/mnt/a b/c", "/with space/c"),
        ("/home/coder/project/over/x", "/latest/x"),
    ],
)
def test_path_is_that_inside_the_file_system(path: str, inside: str) -> None:
    """The innermost mount counts, of two at one point the later."""
    assert path_in_file_system(path, parse_mountinfo(MOUNTINFO)) == inside


def test_path_that_no_mount_covers_stays() -> None:
    """A detached mount is in no table."""
    assert path_in_file_system("/x/y", [Mount("0:1", "/", "/z")]) == "/x/y"
