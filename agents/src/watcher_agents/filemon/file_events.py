"""What an inotify event means: which file to look at and when, which directory to watch."""

from collections.abc import Callable

import pyinotify

from watcher_agents.filemon.catch_up import DELETION_GRACE_SECONDS, Walks
from watcher_agents.filemon.inotify import InotifyEvent, ReadEvents
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.schedule import Schedule, workspace_of
from watcher_agents.filemon.source_path import parse_source_path
from watcher_agents.filemon.watched_tree import WatchedTree


class FileEvents:
    """Turns events into what is to be done, and notes what befell the watches."""

    def __init__(
        self,
        rules: FileRules,
        tree: WatchedTree,
        schedule: Schedule,
        walks: Walks,
        overtaken: Callable[[bytes, float], None],
    ) -> None:
        """`overtaken` is told of files with a completed save that can no longer be read, and after when it was."""
        self.rules = rules
        self._tree = tree
        self._schedule = schedule
        self._walks = walks
        self._overtaken = overtaken
        self._after = 0.0
        self.overflowed_after: float | None = None
        """After which moment events were lost (monotonic seconds); None: none were since it was last set so."""
        self.root_lost = False
        """Whether the watch root was unmounted or deleted since this was last set to False."""

    def handle(self, read: ReadEvents) -> None:
        """Do what these events ask for."""
        self._schedule.events_after = self._after = read.since
        for event in read.events:
            self._handle(event)

    def _handle(self, event: InotifyEvent) -> None:
        if event.mask & pyinotify.IN_Q_OVERFLOW:
            self.overflowed_after = self._after if self.overflowed_after is None else self.overflowed_after
            return
        if event.mask & (pyinotify.IN_UNMOUNT | pyinotify.IN_IGNORED):
            gone = self._tree.dropped(event.watch) if event.mask & pyinotify.IN_IGNORED else None
            self.root_lost |= bool(event.mask & pyinotify.IN_UNMOUNT) or gone == b""
            return
        directory = self._tree.directory_of(event.watch)
        if directory is None:
            return
        path = directory + b"/" + event.name if directory else event.name
        if event.is_directory:
            self._handle_directory(path, event.mask)
        elif parse_source_path(path, self.rules):
            if self._schedule.is_full(path):
                self._tree.crowded.add(workspace_of(path))
                return
            after = self._handle_file(path, event.mask)
            if after is not None:
                self._overtaken(path, after)

    def _handle_file(self, path: bytes, mask: int) -> float | None:
        """After when a save was completed that can no longer be read; None where none was."""
        if mask & pyinotify.IN_CLOSE_WRITE:
            self._schedule.completed(path)
            return None
        if mask & pyinotify.IN_MOVED_TO:
            return self._schedule.replaced(path)
        if mask & (pyinotify.IN_DELETE | pyinotify.IN_MOVED_FROM):
            return self._schedule.vanished(path, DELETION_GRACE_SECONDS)
        # Being written, or made without being opened (a hard link): its writer's close, or quiet, will tell.
        return self._schedule.written(path, self.rules.quiet_seconds)

    def _handle_directory(self, path: bytes, mask: int) -> None:
        if not mask & (pyinotify.IN_CREATE | pyinotify.IN_MOVED_TO):
            # Deleted, or moved away with all that is in it.
            self._tree.unwatch(path)
            self._walks.left(path)
        # Also then: what stands there by now came later, and a visit that was ahead of this event may have watched
        # it, which has just been undone.
        if self._tree.counts(path):
            self._walks.appeared(path, self._after)
