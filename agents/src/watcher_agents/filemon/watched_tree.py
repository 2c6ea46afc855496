"""The directories that are watched; a directory is watched first, and then read."""

import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from watcher_agents.filemon.inotify import DIRECTORY_MASK, SOURCE_MASK, Inotify, WatchLimitReached
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.safe_open import directory_beneath
from watcher_agents.filemon.schedule import workspace_of
from watcher_agents.filemon.source_path import may_hold_sources, parse_source_path

log = logging.getLogger(__name__)

ENTRIES_LIMIT = 100_000
"""Entries read of one directory; what stands behind them is not looked for."""


@dataclass(frozen=True)
class Found:
    """What a directory holds that counts, by path below the watch root."""

    directories: list[bytes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)


class WatchedTree:
    """Watches on the directories below the watch root that can lead to a tracked file, and on no others.

    Directories are named by their path below the watch root; the root itself is the empty path.
    """

    def __init__(self, root: Path, inotify: Inotify, rules: FileRules) -> None:
        """Raises OSError where the root cannot be opened."""
        self._root = root
        self._inotify = inotify
        self._rules = rules
        self.root_fd = _open_root(root)
        self._directory_of: dict[int, bytes] = {}
        self._watch_of: dict[bytes, int] = {}
        self._followed = _Paths()
        self._count: Counter[bytes] = Counter()
        self._unwatched_count: Counter[bytes] = Counter()
        self.unwatched: set[bytes] = set()
        """Directories that could not be watched or read: to be visited again until they can."""
        self.crowded: set[bytes] = set()
        """Workspaces that hold more directories, or more in one directory, than are followed."""

    def __len__(self) -> int:
        return len(self._directory_of)

    @property
    def max_directories(self) -> int:
        """How many directories of a workspace are followed."""
        return self._rules.max_directories

    def count_workspaces(self) -> int:
        """How many workspaces are watched."""
        return len(self._count) - (b"" in self._count)

    def directory_of(self, watch: int) -> bytes | None:
        """The directory of this watch, or None where it is watched no longer."""
        return self._directory_of.get(watch)

    def visit(self, directory: bytes) -> Found:
        """Watch a directory, then read it: what appears in between is found by one of the two.

        Nothing is found where it is gone, cannot be read now (`unwatched`), or is one too many (`crowded`).
        """
        if not self._has_room(directory):
            self.crowded.add(workspace_of(directory))
            return Found()
        try:
            with directory_beneath(self.root_fd, directory) as path_fd:
                if path_fd is None:
                    self._unwatched_no_more(directory)
                    return Found()
                self._watch(directory, path_fd)
                return self._read(directory, path_fd)
        except FileNotFoundError:
            # Deleted between being opened and being read.
            return Found()
        except OSError as error:
            if directory not in self.unwatched:
                log.warning("cannot read the directory %r: %s", os.fsdecode(directory), error.strerror)
            self._is_unwatched(directory)
            return Found()

    def _read(self, directory: bytes, path_fd: int) -> Found:
        found = Found()
        prefix = directory + b"/" if directory else b""
        for count, (name, is_directory) in enumerate(_entries(path_fd)):
            if count == ENTRIES_LIMIT:
                self.crowded.add(workspace_of(directory))
                break
            path = prefix + name
            if is_directory:
                if not self.counts(path):
                    continue
                if self._has_room(path) and (not directory or len(found.directories) < self.max_directories):
                    found.directories.append(path)
                else:
                    self.crowded.add(workspace_of(path))
            elif parse_source_path(path, self._rules):
                found.files.append(path)
        return found

    def check_root(self) -> None:
        """Open and read the root as every directory is. Raises OSError, also where the kernel cannot do that."""
        with directory_beneath(self.root_fd, b"") as path_fd:
            assert path_fd is not None
            for _ in itertools.islice(_entries(path_fd), 1):
                pass

    def is_current(self) -> bool:
        """Whether the watch root is still what its path leads to, and can be used. May wait for a server."""
        try:
            there, here = self._root.stat(), os.fstat(self.root_fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def reopen(self) -> None:
        """Let go of everything and open what the watch root's path leads to now; unless that raises OSError."""
        root_fd = _open_root(self._root)
        self._let_go(self._followed.beneath(b""))
        self.crowded.clear()
        os.close(self.root_fd)
        self.root_fd = root_fd

    def use_rules(self, rules: FileRules) -> None:
        """Go by these rules from now on; what counts no longer is watched no longer."""
        self._rules = rules
        self._let_go([path for path in self._followed.beneath(b"") if path != b"" and not self.counts(path)])

    def counts(self, directory: bytes) -> bool:
        """Whether a directory can lead to a tracked file."""
        return may_hold_sources(tuple(directory.split(b"/")), self._rules)

    def _has_room(self, directory: bytes) -> bool:
        if directory in self._watch_of or directory in self.unwatched:
            return True
        workspace = workspace_of(directory)
        followed = self._count[workspace] + self._unwatched_count[workspace]
        return workspace == b"" or followed < self.max_directories

    def _is_unwatched(self, directory: bytes) -> None:
        if directory not in self.unwatched:
            self.unwatched.add(directory)
            self._followed.add(directory)
            self._unwatched_count[workspace_of(directory)] += 1

    def _unwatched_no_more(self, directory: bytes) -> None:
        if directory in self.unwatched:
            self.unwatched.remove(directory)
            self._follow_no_more(directory)
            self._unwatched_count[workspace_of(directory)] -= 1

    def _watch(self, directory: bytes, path_fd: int) -> None:
        leads_only = directory.count(b"/") == 0
        try:
            watch = self._inotify.watch(path_fd, DIRECTORY_MASK if leads_only else SOURCE_MASK)
        except WatchLimitReached:
            if not self.unwatched:
                log.error(
                    "fs.inotify.max_user_watches is used up at watches=%d: raise it; until then what cannot be"
                    " watched is scanned instead",
                    len(self),
                )
            self._is_unwatched(directory)
            return
        self._unwatched_no_more(directory)
        # The same directory, maybe under a new name: the kernel knows it by its inode.
        self._forget(self._directory_of.get(watch))
        self._forget(directory)
        self._directory_of[watch] = directory
        self._watch_of[directory] = watch
        self._followed.add(directory)
        self._count[workspace_of(directory)] += 1

    def _forget(self, directory: bytes | None) -> None:
        if directory is not None and self._watch_of.pop(directory, None) is not None:
            self._follow_no_more(directory)
            workspace = workspace_of(directory)
            self._count[workspace] -= 1
            if not self._count[workspace]:
                del self._count[workspace]

    def _follow_no_more(self, directory: bytes) -> None:
        if directory not in self._watch_of and directory not in self.unwatched:
            self._followed.remove(directory)

    def unwatch(self, directory: bytes) -> None:
        """Stop watching `directory` and all below it."""
        self._let_go(self._followed.beneath(directory))
        self.crowded.discard(directory)

    def _let_go(self, directories: Iterable[bytes]) -> None:
        for path in directories:
            watch = self._watch_of.get(path)
            if watch is not None:
                self._forget(path)
                del self._directory_of[watch]
                self._inotify.unwatch(watch)
            self._unwatched_no_more(path)

    def dropped(self, watch: int) -> bytes | None:
        """Take note that the kernel dropped a watch, because its directory is gone; which one it was."""
        self._inotify.forget(watch)
        directory = self._directory_of.pop(watch, None)
        if directory is not None and self._watch_of.get(directory) == watch:
            self._forget(directory)
        return directory

    def close(self) -> None:
        """Let go of the root."""
        os.close(self.root_fd)


class _Paths:
    """A set of paths that finds those below a directory without looking at the others.

    A student may rename and delete directories as fast as the disk allows: each must cost no more than what is
    in it.
    """

    def __init__(self) -> None:
        self._members: set[bytes] = set()
        self._below: dict[bytes, set[bytes]] = {}

    def add(self, path: bytes) -> None:
        self._members.add(path)
        while path:
            parent = path.rpartition(b"/")[0]
            siblings = self._below.setdefault(parent, set())
            if path in siblings:
                return
            siblings.add(path)
            path = parent

    def remove(self, path: bytes) -> None:
        self._members.discard(path)
        while path and path not in self._members and path not in self._below:
            parent = path.rpartition(b"/")[0]
            siblings = self._below.get(parent)
            if siblings is None:
                return
            siblings.discard(path)
            if siblings:
                return
            del self._below[parent]
            path = parent

    def beneath(self, directory: bytes) -> list[bytes]:
        """The members that are the directory or below it."""
        found = []
        ahead = [directory]
        while ahead:
            path = ahead.pop()
            if path in self._members:
                found.append(path)
            ahead.extend(self._below.get(path, ()))
        return found


def _open_root(root: Path) -> int:
    return os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _entries(path_fd: int) -> Iterator[tuple[bytes, bool]]:
    """The names in a directory, each with whether it is a directory itself (a link to one is not)."""
    fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                yield os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)
    finally:
        os.close(fd)
