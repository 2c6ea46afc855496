"""The directories that are watched, on a real tree."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents.filemon.inotify import Inotify
from watcher_agents.filemon.rules import load_rules
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.heartbeat import Heartbeat

WORKSPACE = "os-1-202012180"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[WatchedTree]:
    (tmp_path / WORKSPACE / "hw1" / "src").mkdir(parents=True)
    rules = load_rules(None)
    with closing(Inotify()) as inotify, closing(WatchedTree(tmp_path, inotify, rules, Heartbeat())) as watched:
        yield watched


def test_only_what_counts_is_watched_and_found(tree: WatchedTree, tmp_path: Path) -> None:
    hw1 = tmp_path / WORKSPACE / "hw1"
    for name in ("a.c", "src/b.c", "notes.txt", ".hidden.c"):
        (hw1 / name).touch()
    for name in ("node_modules/deep", ".git"):
        (hw1 / name).mkdir(parents=True)
        (hw1 / name / "c.c").touch()
    (tmp_path / "lost+found").mkdir()
    (hw1 / "link").symlink_to(hw1 / "src")
    found = sorted(tree.watch_and_scan(b""))
    assert found == [f"{WORKSPACE}/hw1/{name}".encode() for name in ("a.c", "src/b.c")]
    assert len(tree) == 4


def test_a_directory_that_comes_and_goes_while_it_is_looked_at_is_no_error(
    tree: WatchedTree, tmp_path: Path
) -> None:
    hw1 = tmp_path / WORKSPACE / "hw1"
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            (hw1 / "brief").mkdir()
            (hw1 / "brief").rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    for _ in range(500):
        assert list(tree.watch_and_scan(f"{WORKSPACE}/hw1".encode())) == []
    done.set()
    thread.join()
    assert tree.unwatched == set()


def test_a_directory_renamed_keeps_its_watch_under_its_new_name(tree: WatchedTree, tmp_path: Path) -> None:
    list(tree.watch_and_scan(b""))
    watches = len(tree)
    (tmp_path / WORKSPACE / "hw1" / "src").rename(tmp_path / WORKSPACE / "hw1" / "lab")
    list(tree.watch_and_scan(f"{WORKSPACE}/hw1/lab".encode()))
    assert len(tree) == watches
    tree.unwatch(f"{WORKSPACE}/hw1/src".encode())
    assert len(tree) == watches
    tree.unwatch(WORKSPACE.encode())
    assert len(tree) == 1


def test_a_mount_in_the_workspace_is_not_entered(tree: WatchedTree, tmp_path: Path) -> None:
    inside = tmp_path / WORKSPACE / "hw1" / "src"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.c").touch()
    subprocess.run(["mount", "--bind", tmp_path / "outside", inside], check=True)
    try:
        assert list(tree.watch_and_scan(b"")) == []
        assert (inside / "secret.c").exists()
    finally:
        subprocess.run(["umount", os.fspath(inside)], check=True)
