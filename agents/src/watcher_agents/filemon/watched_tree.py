"""The directories that are watched, and the walk that watches a directory first and then looks into it."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from watcher_agents.filemon.inotify import DIRECTORY_MASK, SOURCE_MASK, Inotify, WatchLimitReached
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.safe_open import directory_beneath
from watcher_agents.filemon.source_path import may_hold_sources, parse_source_path
from watcher_agents.heartbeat import Heartbeat

log = logging.getLogger(__name__)


class WatchedTree:
    """Watches on the directories below the watch root that can lead to a tracked file, and on no others.

    Directories are named by their path below the watch root; the root itself is the empty path.
    """

    def __init__(self, root: Path, inotify: Inotify, rules: FileRules, heartbeat: Heartbeat) -> None:
        """`heartbeat`: of the thread that walks. Raises OSError where the root cannot be opened."""
        self.root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._inotify = inotify
        self._rules = rules
        self._heartbeat = heartbeat
        self._directory_of: dict[int, bytes] = {}
        self._watch_of: dict[bytes, int] = {}
        self.unwatched: set[bytes] = set()
        """Directories that could not be watched or read: scanned, and tried again, until they can."""

    def __len__(self) -> int:
        return len(self._directory_of)

    def count_workspaces(self) -> int:
        """How many workspaces are watched."""
        return sum(1 for directory in tuple(self._watch_of) if directory and b"/" not in directory)

    def directory_of(self, watch: int) -> bytes | None:
        """The directory of this watch, or None where it is watched no longer."""
        return self._directory_of.get(watch)

    def watch_and_scan(self, directory: bytes) -> Iterator[bytes]:
        """Watch `directory` and all below it that counts, and yield the tracked files found on the way.

        Each directory is watched before it is read: what appears in between is found by one of the two.
        """
        waiting = [directory]
        while waiting:
            self._heartbeat.beat()
            current = waiting.pop()
            try:
                entries = self._watch_and_list(current)
            except OSError as error:
                log.warning("cannot read the directory %r: %s", os.fsdecode(current), error.strerror)
                self.unwatched.add(current)
                continue
            for name, is_directory in entries:
                path = current + b"/" + name if current else name
                if is_directory:
                    if self.counts(path):
                        waiting.append(path)
                elif parse_source_path(path, self._rules):
                    yield path

    def _watch_and_list(self, directory: bytes) -> list[tuple[bytes, bool]]:
        """Watch a directory, then list it; nothing where it is gone. Raises OSError where it cannot be read."""
        with directory_beneath(self.root_fd, directory) as path_fd:
            if path_fd is None:
                self.unwatched.discard(directory)
                return []
            try:
                self._watch(directory, path_fd)
                return _entries(path_fd)
            except FileNotFoundError:
                # Deleted between being opened and being read.
                return []

    def check_root(self) -> None:
        """Open and list the root as every directory is. Raises OSError, also where the kernel cannot do that."""
        with directory_beneath(self.root_fd, b"") as path_fd:
            assert path_fd is not None
            _entries(path_fd)

    def use_rules(self, rules: FileRules) -> None:
        """Go by these rules from now on; what counts no longer is watched no longer."""
        self._rules = rules
        self._let_go(lambda path: path != b"" and not self.counts(path))

    def counts(self, directory: bytes) -> bool:
        """Whether a directory can lead to a tracked file."""
        return may_hold_sources(tuple(directory.split(b"/")), self._rules)

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
            self.unwatched.add(directory)
            return
        self.unwatched.discard(directory)
        former = self._directory_of.get(watch)
        if former is not None:
            # The same directory under a new name: the kernel knows it by its inode.
            self._watch_of.pop(former, None)
        self._directory_of[watch] = directory
        self._watch_of[directory] = watch

    def unwatch(self, directory: bytes) -> None:
        """Stop watching `directory` and all below it."""
        below = directory + b"/"
        self._let_go(lambda path: path == directory or path.startswith(below))

    def _let_go(self, chosen: Callable[[bytes], bool]) -> None:
        for path in [path for path in self._watch_of if chosen(path)]:
            watch = self._watch_of.pop(path)
            del self._directory_of[watch]
            self._inotify.unwatch(watch)
        self.unwatched = {path for path in self.unwatched if not chosen(path)}

    def dropped(self, watch: int) -> None:
        """Take note that the kernel dropped a watch, because its directory is gone."""
        self._inotify.forget(watch)
        directory = self._directory_of.pop(watch, None)
        if directory is not None and self._watch_of.get(directory) == watch:
            del self._watch_of[directory]

    def close(self) -> None:
        """Let go of the root."""
        os.close(self.root_fd)


def _entries(path_fd: int) -> list[tuple[bytes, bool]]:
    """The names in a directory, each with whether it is a directory itself (a link to one is not)."""
    fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    finally:
        os.close(fd)
