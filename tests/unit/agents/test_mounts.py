"""Paths of a mount namespace are named as their file systems name them."""

import pytest

from watcher_agents.mounts import Mount, differing_options, mount_holding, parse_mountinfo, path_in_file_system

MOUNTINFO = """\
700 600 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a
701 700 0:60 / /home/coder/project rw,relatime - nfs4 10.0.0.1:/export/workspace/os-1-202012180 rw,addr=10.0.0.1
702 700 0:5 / /dev rw,nosuid - devtmpfs udev rw
703 700 8:1 /with\\040space /mnt/a\\040b rw - ext4 /dev/sda1 rw
704 701 0:61 /later /home/coder/project/over rw - tmpfs tmpfs rw
705 701 0:62 /latest /home/coder/project/over rw - tmpfs tmpfs rw
"""


def test_mountinfo_is_read() -> None:
    """Each field, escapes resolved; an NFS mount's directory stands in its source."""
    mounts = parse_mountinfo(MOUNTINFO)
    assert mounts[1] == Mount(
        device="0:60",
        root="/export/workspace/os-1-202012180",
        point="/home/coder/project",
        type="nfs4",
        source="10.0.0.1:/export/workspace/os-1-202012180",
        mount_options=("rw", "relatime"),
        file_system_options=("rw", "addr=10.0.0.1"),
    )
    assert (mounts[3].root, mounts[3].point) == ("/with space", "/mnt/a b")


@pytest.mark.parametrize(
    ("path", "point"),
    [("/home/coder/project/x", "/home/coder/project"), ("/home/coder/projects", "/"), ("/dev", "/dev")],
)
def test_a_path_is_held_by_the_nearest_mount_above_it(path: str, point: str) -> None:
    found = mount_holding(path, parse_mountinfo(MOUNTINFO))
    assert found is not None
    assert found.point == point


@pytest.mark.parametrize(
    ("source", "options", "part"),
    [
        ("10.0.0.1:/export", "rw", True),
        ("10.0.0.1:/export/workspace/os-1-7", "rw,rsize=4096", True),
        ("files.example:/export", "rw,addr=10.0.0.1", True),
        ("10.0.0.1:/export2", "rw", False),
        ("10.0.0.2:/export", "rw", False),
    ],
)
def test_an_export_is_known_again_by_its_servers_address(source: str, options: str, part: bool) -> None:
    export, mount = parse_mountinfo(
        "1 0 0:1 / /watcher/codes rw - nfs4 10.0.0.1:/export rw,addr=10.0.0.1\n"
        f"2 0 0:2 / /pod rw - nfs4 {source} {options}\n"
    )
    assert mount.is_part_of(export) is part


def test_the_options_in_which_two_superblocks_differ_are_named() -> None:
    one, other = parse_mountinfo(
        "1 0 0:1 / /a rw,nodev - nfs4 10.0.0.1:/export rw,vers=4.1,hard,rsize=1048576\n"
        "2 0 0:2 / /b rw - nfs4 10.0.0.1:/export rw,vers=4.1,soft\n"
    )
    assert differing_options(one, other) == "hard,rsize=1048576 against soft"
    assert differing_options(other, one) == "soft against hard,rsize=1048576"
    assert differing_options(one, one) == ""


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/home/coder/project/hw1/a.out", "/export/workspace/os-1-202012180/hw1/a.out"),
        ("/home/coder/project", "/export/workspace/os-1-202012180"),
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
    [elsewhere] = parse_mountinfo("1 0 0:1 / /z rw - tmpfs x rw\n")
    assert path_in_file_system("/x/y", [elsewhere]) == "/x/y"
