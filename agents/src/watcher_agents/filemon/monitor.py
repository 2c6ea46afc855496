"""The thread that decides: what an inotify event means, when a file is looked at, which workspaces are watched."""

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import pyinotify

from watcher_agents.filemon.blindness import Blindness
from watcher_agents.filemon.capture import FileCapture
from watcher_agents.filemon.captured import CapturedVersions
from watcher_agents.filemon.inotify import InotifyEvent
from watcher_agents.filemon.metrics import FilemonMetrics
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.schedule import Schedule
from watcher_agents.filemon.source_path import parse_source_path
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.filemon.workspaces import Mounted, PodMounts
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.journal import about_work

log = logging.getLogger(__name__)

DELETION_GRACE_SECONDS = 0.5
"""An editor that renames a file away and writes it anew has done so within this time; then it was no deletion."""
SETTLE_SECONDS = 0.1
"""A file found in a new directory may still be open; most are closed within this time."""
RETRY_SECONDS = 5.0
"""How soon to try again what could not be read or watched."""
LINGER_SECONDS = 10.0
"""How long a workspace is watched after its pod has gone: its last events are in the queue still."""

_GROUP_FILES = 256
"""Files captured in one transaction: enough to share its fsync, few enough to be on disk soon."""
_TAKE_EVENTS = 4096
"""Events handled before the files that are due get their turn."""
_QUIET_PERIODS = 10
"""A file that is written without a pause is captured after so many quiet periods all the same."""


@dataclass(frozen=True)
class NewRules:
    """Rules to go by from now on."""

    rules: FileRules


class Notice(Enum):
    """What reaches the thread beside inotify events and new rules."""

    MOUNTS_CHANGED = auto()
    STOP = auto()


class WatchRootUnmounted(Exception):
    """The file system of the watch root was unmounted; the agent has to start anew on what is there then."""


class FileMonitor:
    """Turns events into looks at files. All of it runs on one thread, so nothing here is locked."""

    def __init__(
        self,
        rules: FileRules,
        tree: WatchedTree,
        capture: FileCapture,
        captured: CapturedVersions,
        metrics: FilemonMetrics,
        pod_mounts: PodMounts | None,
        heartbeat: Heartbeat,
        ready: Callable[[], None],
    ) -> None:
        """`pod_mounts`: whose workspaces to watch; None: all. `ready` is called once it watches."""
        self._rules = rules
        self._tree = tree
        self._capture = capture
        self._captured = captured
        self._metrics = metrics
        self._pod_mounts = pod_mounts
        self._ready = ready
        self._heartbeat = heartbeat
        self._blindness = Blindness()
        self._schedule = Schedule(_longest_wait(rules), time.monotonic)
        self._workspaces: Mounted = {}
        self._leaving: dict[bytes, float] = {}
        self._retry_unwatched_at: float | None = None
        self.inbox: queue.SimpleQueue[InotifyEvent | NewRules | Notice] = queue.SimpleQueue()
        metrics.watches.set_function(lambda: len(tree))
        metrics.unwatched.set_function(lambda: len(tree.unwatched))
        metrics.waiting.set_function(lambda: len(self._schedule))
        metrics.blind.set_function(lambda: len(self._blindness))
        metrics.workspaces.set_function(self._count_workspaces)

    def run(self) -> None:
        """Watch and catch up, then handle what arrives in the inbox until Notice.STOP; the body of the thread.

        What is not yet due at the stop is found by the next start's comparison with the tree. Raises OSError where
        the watch root cannot be read.
        """
        self._heartbeat.beat()
        self._tree.check_root()
        if self._pod_mounts is None:
            self._catch_up(b"")
        else:
            self._follow_pods()
        log.info(
            "ready: watching %s, directories=%d files to catch up with=%d",
            "all workspaces" if self._pod_mounts is None else f"workspaces of pods={len(self._workspaces)}",
            len(self._tree),
            len(self._schedule),
        )
        self._ready()
        stopping = False
        while not stopping:
            stopping = self._handle_arrivals()
            self._capture_due()
            self._tidy()

    def _handle_arrivals(self) -> bool:
        """Wait for something to do and handle what has arrived; whether it is time to stop."""
        self._heartbeat.rest()
        try:
            arrival = self.inbox.get(timeout=self._patience())
            self._heartbeat.beat()
            for _ in range(_TAKE_EVENTS):
                if arrival is Notice.STOP:
                    return True
                if arrival is Notice.MOUNTS_CHANGED:
                    self._follow_pods()
                elif isinstance(arrival, NewRules):
                    self._use_rules(arrival.rules)
                elif isinstance(arrival, InotifyEvent):
                    self._handle(arrival)
                arrival = self.inbox.get_nowait()
        except queue.Empty:
            pass
        return False

    def _patience(self) -> float | None:
        """Seconds until something has to be done even if nothing arrives."""
        times = [*self._leaving.values()]
        if self._retry_unwatched_at is not None:
            times.append(self._retry_unwatched_at)
        waits = [max(0.0, moment - time.monotonic()) for moment in times]
        dues = (self._schedule.seconds_until_due(), self._blindness.seconds_until_due())
        return min([*waits, *(due for due in dues if due is not None)], default=None)

    def _handle(self, event: InotifyEvent) -> None:
        if event.mask & pyinotify.IN_Q_OVERFLOW:
            self._metrics.overflows.inc()
            log.error("the inotify queue overflowed (fs.inotify.max_queued_events): scanning all workspaces")
            self._rescan()
            return
        if event.mask & pyinotify.IN_UNMOUNT:
            raise WatchRootUnmounted
        if event.mask & pyinotify.IN_IGNORED:
            self._tree.dropped(event.watch)
            return
        directory = self._tree.directory_of(event.watch)
        if directory is None:
            return
        path = directory + b"/" + event.name if directory else event.name
        if event.is_directory:
            self._handle_directory(path, event.mask)
        elif parse_source_path(path, self._rules):
            self._handle_file(path, event.mask)

    def _handle_file(self, path: bytes, mask: int) -> None:
        if mask & (pyinotify.IN_CLOSE_WRITE | pyinotify.IN_MOVED_TO):
            if self._schedule.put(path, 0.0, complete=True):
                self._metrics.overtaken.inc()
        elif mask & (pyinotify.IN_DELETE | pyinotify.IN_MOVED_FROM):
            self._schedule.put(path, DELETION_GRACE_SECONDS)
        else:
            # Being written, or made without being opened (a hard link): its writer's close, or quiet, will tell.
            self._schedule.put(path, self._rules.quiet_seconds)

    def _handle_directory(self, path: bytes, mask: int) -> None:
        if not mask & (pyinotify.IN_CREATE | pyinotify.IN_MOVED_TO):
            # Deleted, or moved away with all that is in it.
            self._tree.unwatch(path)
            for known in self._captured.paths_beneath(path):
                self._schedule.put(known, DELETION_GRACE_SECONDS)
        # Also then: what stands there by now came later, and a scan that was ahead of this event may have watched
        # it, which has just been undone.
        if self._tree.counts(path):
            for found in self._tree.watch_and_scan(path):
                self._schedule.put(found, SETTLE_SECONDS)

    def _follow_pods(self) -> None:
        """Watch the workspaces of pods that came, and let those of pods that went linger."""
        if self._pod_mounts is None:
            return
        found = self._pod_mounts.look()
        former, self._workspaces = self._workspaces, found.workspaces
        for workspace, points in found.workspaces.items():
            # Also one that lingers, or whose pod was replaced between two looks: it may have been deleted and made
            # anew meanwhile, and the watches are on what was deleted.
            if points - former.get(workspace, frozenset()):
                self._leaving.pop(workspace, None)
                self._catch_up(workspace)
                log.info("watching workspace: its pod came", extra=about_work(workspace.decode()))
        for workspace in former.keys() - found.workspaces.keys():
            self._leaving[workspace] = time.monotonic() + LINGER_SECONDS
        self._blindness.found(found.blind)

    def problem(self) -> str | None:
        """What is wrong with watching, None where nothing is."""
        problems = []
        if blindness := self._blindness.problem():
            problems.append(blindness)
        if unwatched := len(self._tree.unwatched):
            problems.append(
                f"{unwatched} directories cannot be watched or read, they are scanned every {RETRY_SECONDS:.0f} s"
            )
        return "; ".join(problems) or None

    def work(self) -> str:
        """What is watched, in a few words."""
        return f"watching {self._count_workspaces()} workspaces, {len(self._tree)} directories"

    def _count_workspaces(self) -> int:
        return self._tree.count_workspaces() if self._pod_mounts is None else len(self._workspaces)

    def _use_rules(self, rules: FileRules) -> None:
        """Go by new rules: what they add is watched and scanned, what they drop is watched no longer."""
        self._rules = rules
        self._capture.use_rules(rules)
        self._tree.use_rules(rules)
        self._schedule.longest_wait = _longest_wait(rules)
        self._rescan()

    def _rescan(self) -> None:
        for workspace in [b""] if self._pod_mounts is None else [*self._workspaces, *self._leaving]:
            self._catch_up(workspace)

    def _catch_up(self, directory: bytes) -> None:
        """Compare the tree below `directory` with what was last captured: watch it, look at every difference."""
        for path in self._tree.watch_and_scan(directory):
            self._schedule.put(path, 0.0, recovered=True)
        for path in self._captured.paths_beneath(directory):
            self._schedule.put(path, 0.0, recovered=True)

    def _capture_due(self) -> None:
        while looks := self._schedule.take_due(_GROUP_FILES):
            outcome = self._capture.capture(looks)
            for look in outcome.unsteady:
                self._schedule.put_back(look, self._rules.quiet_seconds)
            for look in outcome.failed:
                self._schedule.put_back(look, RETRY_SECONDS)

    def _tidy(self) -> None:
        """Let go of workspaces whose pods are long gone; tell and try again what cannot be watched."""
        now = time.monotonic()
        for workspace in [name for name, moment in self._leaving.items() if moment <= now]:
            del self._leaving[workspace]
            self._tree.unwatch(workspace)
            log.info("workspace no longer watched: its pod went", extra=about_work(workspace.decode()))
        self._blindness.tell_where_due()
        if not self._tree.unwatched:
            self._retry_unwatched_at = None
        elif self._retry_unwatched_at is None:
            self._retry_unwatched_at = now + RETRY_SECONDS
        elif self._retry_unwatched_at <= now:
            for directory in sorted(self._tree.unwatched):
                self._catch_up(directory)
            self._retry_unwatched_at = now + RETRY_SECONDS


def _longest_wait(rules: FileRules) -> float:
    """Seconds after which a file is captured although it is still being written."""
    return rules.quiet_seconds * _QUIET_PERIODS
