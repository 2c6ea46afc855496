"""Root reads what a student names, and is not led elsewhere."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from watcher_agents.filemon.safe_open import directory_beneath, read_beneath, state_beneath

LIMIT = 65536


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "root" / "ws" / "hw1").mkdir(parents=True)
    (tmp_path / "secret.c").write_text("secret")
    yield tmp_path / "root"


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_regular_file_is_read_with_its_state(root: Path, root_fd: int) -> None:
    (root / "ws/hw1/a.c").write_text("int x;")
    file = read_beneath(root_fd, b"ws/hw1/a.c", LIMIT)
    assert file is not None
    assert (file.content, file.steady, file.state.size) == (b"int x;", True, 6)
    assert file.state == state_beneath(root_fd, b"ws/hw1/a.c")


def test_a_link_is_not_followed_at_the_end(root: Path, root_fd: int) -> None:
    (root / "ws/hw1/a.c").symlink_to("/etc/shadow")
    (root / "ws/hw1/b.c").symlink_to("../../../secret.c")
    assert read_beneath(root_fd, b"ws/hw1/a.c", LIMIT) is None
    assert read_beneath(root_fd, b"ws/hw1/b.c", LIMIT) is None


def test_a_link_is_not_followed_on_the_way(root: Path, root_fd: int) -> None:
    (root / "ws/hw2").symlink_to("../..")
    (root / "ws/hw3").symlink_to("hw1")
    (root / "ws/hw1/a.c").write_text("x")
    assert read_beneath(root_fd, b"ws/hw2/../secret.c", LIMIT) is None
    assert read_beneath(root_fd, b"ws/hw3/a.c", LIMIT) is None
    with directory_beneath(root_fd, b"ws/hw3") as fd:
        assert fd is None


def test_what_is_no_regular_file_is_not_read_and_does_not_block(root: Path, root_fd: int) -> None:
    os.mkfifo(root / "ws/hw1/fifo.c")
    os.mknod(root / "ws/hw1/device.c", 0o600 | 0o020000, os.makedev(1, 5))
    (root / "ws/hw1/dir.c").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "ws/hw1/socket.c"))
        for name in (b"fifo.c", b"device.c", b"dir.c", b"socket.c", b"missing.c"):
            assert read_beneath(root_fd, b"ws/hw1/" + name, LIMIT) is None


def test_a_large_or_sparse_file_is_not_read(root: Path, root_fd: int) -> None:
    with (root / "ws/hw1/big.c").open("wb") as file:
        file.truncate(1 << 40)
    big = read_beneath(root_fd, b"ws/hw1/big.c", LIMIT)
    assert big is not None
    assert (big.content, big.state.size) == (None, 1 << 40)
    (root / "ws/hw1/fits.c").write_bytes(b"x" * LIMIT)
    fits = read_beneath(root_fd, b"ws/hw1/fits.c", LIMIT)
    assert fits is not None
    assert fits.content == b"x" * LIMIT


def test_a_link_swapped_in_while_reading_never_leads_outside(root: Path, root_fd: int) -> None:
    directory, spare = root / "ws/hw1", root / "ws/spare"
    (directory / "secret.c").write_text("own")
    outside = root.parent
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            directory.rename(spare)
            directory.symlink_to(outside)
            directory.unlink()
            spare.rename(directory)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    for _ in range(3000):
        file = read_beneath(root_fd, b"ws/hw1/secret.c", LIMIT)
        seen.add(file.content if file else None)
    done.set()
    swapper.join()
    assert b"own" in seen
    assert seen <= {b"own", None}
