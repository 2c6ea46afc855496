"""The directories that are watched, on a real tree."""

import os
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from unit.agents.filemon.conftest import WORKSPACE
from watcher_agents.filemon.inotify import Inotify
from watcher_agents.filemon.rules import FileRules, load_rules
from watcher_agents.filemon.watched_tree import WatchedTree

WS = WORKSPACE.encode()


def visit_all(tree: WatchedTree, directory: bytes = b"") -> list[bytes]:
    """Visit a directory and all below it; the files found."""
    files: list[bytes] = []
    ahead = [directory]
    while ahead:
        found = tree.visit(ahead.pop())
        files += found.files
        ahead += found.directories
    return sorted(files)


def rules(tmp_path: Path, text: str) -> FileRules:
    (tmp_path / "rules.yml").write_text(text)
    return load_rules(tmp_path / "rules.yml")


def test_only_what_counts_is_watched_and_found(tree: WatchedTree, root: Path) -> None:
    hw1 = root / WORKSPACE / "hw1"
    for name in ("a.c", "src/b.c", "notes.txt", ".hidden.c"):
        (hw1 / name).touch()
    for name in ("node_modules/deep", ".git"):
        (hw1 / name).mkdir(parents=True)
        (hw1 / name / "c.c").touch()
    (root / "lost+found").mkdir()
    (hw1 / "link").symlink_to(hw1 / "src")
    assert visit_all(tree) == [WS + b"/hw1/a.c", WS + b"/hw1/src/b.c"]
    assert len(tree) == 4
    assert sorted(filter(None, map(tree.directory_of, range(1, 10)))) == [WS, WS + b"/hw1", WS + b"/hw1/src"]


def test_a_directory_that_comes_and_goes_while_it_is_looked_at_is_no_error(tree: WatchedTree, root: Path) -> None:
    hw1 = root / WORKSPACE / "hw1"
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            (hw1 / "brief").mkdir()
            (hw1 / "brief").rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    for _ in range(500):
        assert visit_all(tree, WS + b"/hw1") == []
    done.set()
    thread.join()
    assert tree.unwatched == set()


def test_a_directory_renamed_keeps_its_watch_under_its_new_name(tree: WatchedTree, root: Path) -> None:
    visit_all(tree)
    watches = len(tree)
    (root / WORKSPACE / "hw1" / "src").rename(root / WORKSPACE / "hw1" / "lab")
    visit_all(tree, WS + b"/hw1/lab")
    assert len(tree) == watches
    tree.unwatch(WS + b"/hw1/src")
    assert len(tree) == watches
    tree.unwatch(WS)
    assert len(tree) == 1


def test_unwatching_a_directory_lets_go_of_all_below_it_and_of_nothing_beside_it(
    tree: WatchedTree, root: Path
) -> None:
    for name in ("hw1/src/deep", "hw10/src", "hw2"):
        (root / WORKSPACE / name).mkdir(parents=True)
    visit_all(tree)
    tree.unwatch(WS + b"/hw1")
    left = {WS, WS + b"/hw10", WS + b"/hw10/src", WS + b"/hw2"}
    assert {tree.directory_of(watch) for watch in range(1, 20)} - {None, b""} == left
    tree.unwatch(b"")
    assert len(tree) == 0
    assert (tree._followed._members, tree._followed._below) == (set(), {})


def test_what_is_unwatched_below_is_found_also_where_what_is_between_has_been_let_go(
    tree: WatchedTree, root: Path
) -> None:
    """A directory moved elsewhere takes its watch along before those below it are visited there."""
    (root / WORKSPACE / "hw1" / "src" / "deep").mkdir()
    visit_all(tree)
    (root / WORKSPACE / "hw1" / "src").rename(root / WORKSPACE / "hw1" / "lab")
    tree.visit(WS + b"/hw1/lab")
    watches = len(tree)
    tree.unwatch(WS + b"/hw1/src")
    assert len(tree) == watches - 1


def test_a_mount_in_the_workspace_is_not_entered(tree: WatchedTree, root: Path, tmp_path: Path) -> None:
    inside = root / WORKSPACE / "hw1" / "src"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.c").touch()
    subprocess.run(["mount", "--bind", tmp_path / "outside", inside], check=True)
    try:
        assert visit_all(tree) == []
        assert (inside / "secret.c").exists()
    finally:
        subprocess.run(["umount", os.fspath(inside)], check=True)


def test_under_new_rules_what_counts_no_longer_is_let_go_and_what_counts_now_is_found(
    tree: WatchedTree, root: Path, tmp_path: Path
) -> None:
    (root / WORKSPACE / "lab1").mkdir()
    (root / WORKSPACE / "lab1" / "a.c").touch()
    visit_all(tree)
    assert len(tree) == 4
    tree._is_unwatched(WS + b"/hw1/locked")
    tree.use_rules(rules(tmp_path, "assignment_pattern: lab[0-9]\n"))
    assert len(tree) == 2
    assert tree.unwatched == set()
    assert visit_all(tree) == [WS + b"/lab1/a.c"]
    assert len(tree) == 3


def test_workspaces_are_counted_without_the_root_and_what_is_in_them(tree: WatchedTree, root: Path) -> None:
    assert tree.count_workspaces() == 0
    (root / "os-1-7").mkdir()
    visit_all(tree)
    assert tree.count_workspaces() == 2
    tree.unwatch(b"os-1-7")
    assert tree.count_workspaces() == 1


def test_a_workspace_with_too_many_directories_is_followed_so_far_and_others_are_not_concerned(
    tree: WatchedTree, root: Path, tmp_path: Path
) -> None:
    tree.use_rules(rules(tmp_path, "max_directories: 10\n"))
    for number in range(30):
        (root / WORKSPACE / "hw1" / f"d{number}").mkdir()
    (root / "os-1-7" / "hw1").mkdir(parents=True)
    (root / "os-1-7" / "hw1" / "a.c").touch()
    assert visit_all(tree) == [b"os-1-7/hw1/a.c"]
    assert tree.crowded == {WS}
    assert len(tree) == 1 + 10 + 2
    # What is followed already is visited again as before.
    assert visit_all(tree, b"os-1-7") == [b"os-1-7/hw1/a.c"]
    tree.unwatch(WS)
    assert tree.crowded == set()


def test_no_more_directories_of_one_are_handed_out_than_are_followed(
    tree: WatchedTree, root: Path, tmp_path: Path
) -> None:
    """A directory may hold a hundred thousand of them."""
    tree.use_rules(rules(tmp_path, "max_directories: 10\n"))
    for number in range(30):
        (root / WORKSPACE / "hw1" / f"d{number}").mkdir()
    assert len(tree.visit(WS + b"/hw1").directories) == 10
    assert tree.crowded == {WS}
    for number in range(30):
        (root / f"os-1-{number}").mkdir()
    assert len(tree.visit(b"").directories) == 31


def test_of_a_directory_no_more_than_so_many_entries_are_read(
    tree: WatchedTree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (root / WORKSPACE / "hw1" / f"{number}.c").touch()
    monkeypatch.setattr("watcher_agents.filemon.watched_tree.ENTRIES_LIMIT", 5)
    found = tree.visit(WS + b"/hw1")
    assert len(found.files) + len(found.directories) == 5
    assert tree.crowded == {WS}


def test_a_root_that_was_replaced_is_noticed_and_opened_anew(tree: WatchedTree, root: Path) -> None:
    visit_all(tree)
    assert tree.is_current()
    root.rename(root.with_name("away"))
    assert not tree.is_current()
    with pytest.raises(FileNotFoundError):
        tree.reopen()
    assert len(tree) == 4
    (root / "os-1-7" / "hw1").mkdir(parents=True)
    assert not tree.is_current()
    tree.reopen()
    assert tree.is_current()
    assert (len(tree), tree.unwatched, tree.crowded) == (0, set(), set())
    visit_all(tree)
    assert tree.count_workspaces() == 1


def test_a_root_that_is_no_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(Inotify()) as inotify, pytest.raises(NotADirectoryError):
        WatchedTree(tmp_path / "file", inotify, load_rules(None))
