"""The directories that are watched, on a real tree."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents.filemon.inotify import Inotify
from watcher_agents.filemon.rules import FileRules, load_rules
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


def rules(tmp_path: Path, text: str) -> FileRules:
    (tmp_path / "rules.yml").write_text(text)
    return load_rules(tmp_path / "rules.yml")


def test_under_new_rules_what_counts_no_longer_is_let_go_and_what_counts_now_is_found(
    tree: WatchedTree, tmp_path: Path
) -> None:
    (tmp_path / WORKSPACE / "lab1").mkdir()
    (tmp_path / WORKSPACE / "lab1" / "a.c").touch()
    list(tree.watch_and_scan(b""))
    assert len(tree) == 4
    tree.unwatched.add(f"{WORKSPACE}/hw1/locked".encode())
    tree.use_rules(rules(tmp_path, "assignment_pattern: lab[0-9]\n"))
    assert len(tree) == 2
    assert tree.unwatched == set()
    assert list(tree.watch_and_scan(b"")) == [f"{WORKSPACE}/lab1/a.c".encode()]
    assert len(tree) == 3


def test_workspaces_are_counted_without_the_root_and_what_is_in_them(tree: WatchedTree, tmp_path: Path) -> None:
    assert tree.count_workspaces() == 0
    (tmp_path / "os-1-7").mkdir()
    list(tree.watch_and_scan(b""))
    assert tree.count_workspaces() == 2
    tree.unwatch(b"os-1-7")
    assert tree.count_workspaces() == 1


def test_the_walk_beats_at_each_directory(tmp_path: Path) -> None:
    """Else a long scan would be taken for a thread that does not get on."""
    (tmp_path / WORKSPACE / "hw1" / "src").mkdir(parents=True)
    moments: list[None] = []

    def clock() -> float:
        moments.append(None)
        return 0.0

    beats, shipped = Heartbeat(clock), load_rules(None)
    with closing(Inotify()) as inotify, closing(WatchedTree(tmp_path, inotify, shipped, beats)) as tree:
        list(tree.watch_and_scan(b""))
    assert len(moments) == 4
