"""What the tests of the agents share."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.spooling import spool, state

__all__ = ["hung", "spool", "state"]


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
