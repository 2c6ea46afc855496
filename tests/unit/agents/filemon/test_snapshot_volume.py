"""Snapshot files: named by when they were saved, never changed, never half there."""

import subprocess
from pathlib import Path

import pytest

from watcher_agents.filemon.snapshot_volume import SnapshotVolume
from watcher_agents.spool import Content

SAVED = 1_753_856_273_417_123_456
"""2025-07-30 06:17:53.417123456 UTC."""


@pytest.fixture
def volume(tmp_path: Path) -> SnapshotVolume:
    return SnapshotVolume(tmp_path, "worker-1")


def content(data: bytes, saved_ns: int = SAVED) -> Content:
    return Content(data, "os-1-202012180/hw1/hello.c", "c", saved_ns)


def test_the_path_is_that_of_the_guide(volume: SnapshotVolume, tmp_path: Path) -> None:
    path = volume.store("a" * 32, content(b"int main;"))
    assert path == "os-1-202012180/hw1/hello.c/20250730_061753.c"
    assert (tmp_path / path).read_bytes() == b"int main;"
    assert (tmp_path / path).stat().st_mtime_ns == SAVED


def test_versions_of_one_second_are_told_apart_by_as_much_of_the_fraction_as_it_takes(
    volume: SnapshotVolume, tmp_path: Path
) -> None:
    names = [
        volume.store(f"{number:032x}", content(str(number).encode(), saved_ns)).rpartition("/")[2]
        for number, saved_ns in enumerate([SAVED, SAVED + 1, SAVED + 2, SAVED + 3, SAVED + 3, SAVED + 3])
    ]
    assert names == [
        "20250730_061753.c",
        "20250730_061753.417.c",
        "20250730_061753.417123.c",
        "20250730_061753.417123459.c",
        "20250730_061753.417123459-2.c",
        "20250730_061753.417123459-3.c",
    ]
    directory = tmp_path / "os-1-202012180/hw1/hello.c"
    assert [(directory / name).read_text() for name in names] == list("012345")


def test_the_same_version_stored_again_has_the_same_name(volume: SnapshotVolume, tmp_path: Path) -> None:
    first = volume.store("a" * 32, content(b"x"))
    volume.store("b" * 32, content(b"y", SAVED + 1))
    assert volume.store("a" * 32, content(b"x")) == first
    other_node = SnapshotVolume(tmp_path, "worker-2")
    assert other_node.store("a" * 32, content(b"x")) == first
    assert len(list((tmp_path / "os-1-202012180/hw1/hello.c").iterdir())) == 2


def test_the_same_content_saved_again_later_in_the_second_is_another_version(volume: SnapshotVolume) -> None:
    assert volume.store("a" * 32, content(b"x")) != volume.store("b" * 32, content(b"x", SAVED + 1_000_000))


def test_what_an_interrupted_attempt_left_behind_is_replaced(volume: SnapshotVolume, tmp_path: Path) -> None:
    directory = tmp_path / "os-1-202012180/hw1/hello.c"
    directory.mkdir(parents=True)
    (directory / f".{'a' * 32}.worker-1.partial").write_bytes(b"half of it and more than that")
    path = volume.store("a" * 32, content(b"x"))
    assert [entry.name for entry in directory.iterdir()] == [path.rpartition("/")[2]]
    assert (tmp_path / path).read_bytes() == b"x"


def test_while_the_volume_is_not_mounted_nothing_is_stored_beneath_it(tmp_path: Path) -> None:
    def mount() -> None:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)

    mount()
    volume = SnapshotVolume(tmp_path, "worker-1")
    volume.store("0" * 32, content(b"int x;"))
    subprocess.run(["umount", tmp_path], check=True)
    with pytest.raises(OSError, match="the snapshot volume is not mounted"):
        volume.store("1" * 32, content(b"int x;"))
    assert list(tmp_path.iterdir()) == []
    mount()
    try:
        assert (tmp_path / volume.store("1" * 32, content(b"int x;"))).read_bytes() == b"int x;"
    finally:
        subprocess.run(["umount", tmp_path], check=True)
