"""A watch root with one student's workspace, watched for real."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watcher_agents.filemon.inotify import Inotify
from watcher_agents.filemon.rules import load_rules
from watcher_agents.filemon.watched_tree import WatchedTree

WORKSPACE = "os-1-202012180"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "codes" / WORKSPACE / "hw1" / "src").mkdir(parents=True)
    return tmp_path / "codes"


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    with closing(Inotify()) as instance:
        yield instance


@pytest.fixture
def tree(root: Path, inotify: Inotify) -> Iterator[WatchedTree]:
    with closing(WatchedTree(root, inotify, load_rules(None))) as watched:
        yield watched
