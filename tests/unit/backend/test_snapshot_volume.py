"""Reading snapshots: everything on the volume, nothing beside it."""

import os
from pathlib import Path

import pytest

from watcher_backend import snapshot_volume
from watcher_backend.snapshot_volume import SnapshotMissingError, VolumeUnavailableError, read_snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A snapshot volume with one snapshot, and a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    volume = tmp_path / "snapshots"
    (volume / "os-1-1" / "hw1").mkdir(parents=True)
    (volume / "os-1-1" / "hw1" / "a.c").write_bytes(b"int main;\n")
    return volume


def test_a_snapshot_is_read_as_it_is(root: Path) -> None:
    assert read_snapshot(root, "os-1-1/hw1/a.c") == b"int main;\n"


@pytest.mark.parametrize(
    "path", ["../secret", "os-1-1/../../secret", "/etc/passwd", "", "os-1-1//hw1/a.c", "./os-1-1/hw1/a.c"]
)
def test_a_path_cannot_climb_out_of_the_volume(root: Path, path: str) -> None:
    with pytest.raises(SnapshotMissingError):
        read_snapshot(root, path)


def test_a_link_is_followed_neither_as_file_nor_as_directory(root: Path) -> None:
    (root / "os-1-1" / "hw1" / "link.c").symlink_to(root.parent / "secret")
    (root / "out").symlink_to(root.parent)
    for path in ("os-1-1/hw1/link.c", "out/secret"):
        with pytest.raises(SnapshotMissingError, match="link"):
            read_snapshot(root, path)


@pytest.mark.timeout(10)
def test_a_fifo_or_a_directory_is_no_snapshot_and_does_not_block(root: Path) -> None:
    os.mkfifo(root / "fifo")
    for path in ("fifo", "os-1-1"):
        with pytest.raises(SnapshotMissingError, match="no regular file"):
            read_snapshot(root, path)


def test_a_snapshot_that_is_gone_is_missing(root: Path) -> None:
    for path in ("os-1-1/hw1/b.c", "os-1-2/hw1/a.c", "x" * 300):
        with pytest.raises(SnapshotMissingError, match="not on the snapshot volume"):
            read_snapshot(root, path)


def test_a_file_too_long_for_memory_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_volume, "MAX_CONTENT_BYTES", 4)
    with pytest.raises(SnapshotMissingError, match="longer than 4 bytes"):
        read_snapshot(root, "os-1-1/hw1/a.c")


def test_a_volume_that_is_not_mounted_is_told_from_a_missing_snapshot(tmp_path: Path) -> None:
    with pytest.raises(VolumeUnavailableError):
        read_snapshot(tmp_path / "not-there", "a.c")


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("os-1-1/hw1/a.c", "os-1-1/hw1/b.c", "os-1-1/none/b.c", "os-1-1/hw1"):
        try:
            read_snapshot(root, path)
        except SnapshotMissingError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
