"""A mount whose server does not answer is told from one that does, without hanging with it."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from watcher_agents.node.mount_state import answers, mount_state
from watcher_agents.node.mount_table import host_mounts


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Path]:
    """A file system in user space that nobody serves: every look at it waits."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    point = os.fsencode(tmp_path)
    assert libc.mount(b"nobody", point, b"fuse", 0, options.encode()) == 0, os.strerror(ctypes.get_errno())
    yield tmp_path
    # Whoever waits for an answer gets an error now.
    os.close(device)
    assert libc.umount2(point, 0) == 0, os.strerror(ctypes.get_errno())


def test_a_hung_mount_is_called_so(hung: Path) -> None:
    assert not answers(str(hung), 0.2)
    state = mount_state(str(hung), host_mounts())
    assert (state.state, state.source, state.type) == ("hung", "nobody", "fuse")


def test_a_mount_that_answers_is_mounted_and_a_directory_is_absent(tmp_path: Path) -> None:
    proc = mount_state("/proc", host_mounts())
    assert (proc.state, proc.type) == ("mounted", "proc")
    assert mount_state(str(tmp_path), host_mounts()).state == "absent"
