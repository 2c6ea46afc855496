"""The thread that decides: which workspaces are watched, what is caught up with, and what is declared as a gap."""

import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial

from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.arrivals import Arrival, Arrivals, NewRules, Notice
from watcher_agents.filemon.blindness import Blindness
from watcher_agents.filemon.capture import EMPTY_SECONDS, Done, FileCapture
from watcher_agents.filemon.captured import CapturedVersions
from watcher_agents.filemon.catch_up import Ended, Tally, Walks
from watcher_agents.filemon.file_events import FileEvents
from watcher_agents.filemon.inotify import Inotify, ReadEvents
from watcher_agents.filemon.metrics import FilemonMetrics
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.schedule import Activity, Schedule, workspace_of
from watcher_agents.filemon.source_path import student_of
from watcher_agents.filemon.timers import Timers
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.filemon.workspaces import Mounted, PodMounts
from watcher_agents.gaps import Cause, Gaps, OpenGap
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.journal import about_work
from watcher_agents.mounts import Mount

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""How soon to try again what could not be read, watched or written."""
LINGER_SECONDS = 10.0
"""How long a workspace is watched after its pod has gone: its last events are in the queue still."""
CHECK_SECONDS = 30.0
"""How often the watch root and the mounts are looked at although nothing has told of a change."""
CROWDED_SECONDS = 600.0
"""How often a workspace that holds more than is followed is compared again."""

_MOUNTS_SECONDS = 0.1
"""The least time between two looks at the mounts: many pods that start together are found by few."""
_GROUP_FILES = 256
"""Files captured in one transaction: enough to share its fsync, few enough to be on disk soon."""
_GROUPS = 4
"""Groups captured before what has arrived meanwhile gets its turn,"""
_HANDLE_SECONDS = 0.25
"""how long what has arrived is handled before the files that are due get theirs,"""
_WALK_SECONDS = 0.02
"""and how long directories are visited before either does."""
_QUIET_PERIODS = 10
"""A file that is written without a pause is captured after so many quiet periods all the same."""
_RETRY_LOAD = 20
"""What cannot be watched is visited again after so many times as long as the last such visit took, at least."""


class FileMonitor:
    """Turns what arrives into looks at files. All of it runs on one thread, so nothing here is locked."""

    def __init__(
        self,
        rules: FileRules,
        inotify: Inotify,
        tree: WatchedTree,
        capture: FileCapture,
        captured: CapturedVersions,
        allowances: Allowances,
        gaps: Gaps,
        metrics: FilemonMetrics,
        pod_mounts: PodMounts,
        follows_pods: bool,
        heartbeat: Heartbeat,
        ready: Callable[[], None],
    ) -> None:
        """`follows_pods`: watch the workspaces that pods have mounted, else all. `ready`: called once it does."""
        self.arrivals = Arrivals()
        self._rules = rules
        self._inotify = inotify
        self._tree = tree
        self._capture = capture
        self._captured = captured
        self._allowances = allowances
        self._gaps = gaps
        self._metrics = metrics
        self._pod_mounts = pod_mounts
        self._follows_pods = follows_pods
        self._heartbeat = heartbeat
        self._ready = ready
        self._timers = Timers()
        self._blindness = Blindness(gaps)
        self._schedule = Schedule(_longest_wait(rules), rules.max_files, allowances, time.monotonic)
        self._walks = Walks(tree, self._schedule, captured.paths_beneath, self._visited_late, heartbeat)
        self._events = FileEvents(rules, tree, self._schedule, self._walks, self._overtaken)
        self._workspaces: Mounted = {}
        self._leaving: dict[bytes, float] = {}
        self._is_stopping = self._is_ready = self._has_read_events = False
        self._away: str | None = None
        self._group_files = _GROUP_FILES
        self._overflow: _Overflow | None = None
        self._crowded: dict[bytes, OpenGap] = {}
        self._unwatched: dict[bytes, tuple[OpenGap, Tally]] = {}
        self._is_retrying = False
        self._root_mount = pod_mounts.root_mount()
        self._root_seen_ns = self._mounts_seen_ns = time.time_ns()
        self._unhandled_after: float | None = time.monotonic()
        gaps.oldest_unhandled_ns = self._oldest_unhandled_ns
        metrics.watches.set_function(lambda: len(tree))
        metrics.unwatched.set_function(lambda: len(tree.unwatched))
        metrics.waiting.set_function(lambda: len(self._schedule))
        metrics.blind.set_function(lambda: len(self._blindness))
        metrics.crowded.set_function(lambda: len(self._crowded))
        metrics.workspaces.set_function(self._count_workspaces)

    def run(self) -> None:
        """Watch and catch up, then handle what arrives until told to stop; the body of the thread.

        What is not yet due at the stop is found by the next start's comparison with the tree. Raises OSError where
        the watch root cannot be read.
        """
        self._heartbeat.beat()
        self._tree.check_root()
        self._begin()
        while not self._is_stopping:
            self._wait_and_handle()
            self._do_what_is_due()
            if self._away is None:
                self._walks.go_on(_WALK_SECONDS)
                self._capture_due()
                # After these, which find what cannot be followed: its gap begins now, not when something arrives.
                self._follow_crowded()
                self._retry_unwatched()
            self._note_unhandled()
            if not (self._is_ready or self._walks.is_walking or self._is_stopping):
                self._become_ready()

    def _begin(self) -> None:
        """Catch up with what happened since the last run, and close the gaps that it has left."""
        self._gaps.take_downtime()
        left_open = self._gaps.opened()
        self._look_at_mounts(is_first=True)
        if self._follows_pods:
            # Whose pods went while nobody looked: the last saves before that are there still.
            for workspace in self._captured.watched_workspaces() - self._workspaces.keys():
                self._leaving[workspace] = time.monotonic() + LINGER_SECONDS
        self._timers.set("check", CHECK_SECONDS)
        self._walks.catch_up(self._all_watched(), partial(self._close_left_open, left_open))

    def _close_left_open(self, left_open: Iterable[OpenGap], tally: Tally) -> None:
        """All was compared, so what was open before is over, unless it has been found to go on."""
        unwatched = (gap for gap, _ in self._unwatched.values())
        going_on = {*self._crowded.values(), *unwatched, *self._blindness.gaps()}
        for gap in left_open:
            if gap not in going_on:
                self._close(gap, tally)

    def _close(self, gap: OpenGap, tally: Tally) -> None:
        self._gaps.close(gap, files_seen=tally.files_seen, files_recovered=tally.files_recovered)

    def _become_ready(self) -> None:
        self._is_ready = True
        log.info(
            "ready: watching %s, directories=%d files to catch up with=%d",
            f"workspaces of pods={len(self._workspaces)}" if self._follows_pods else "all workspaces",
            len(self._tree),
            len(self._schedule),
        )
        self._ready()

    # What arrives

    def _wait_and_handle(self) -> None:
        """Wait for something to do, and handle what has arrived."""
        self._heartbeat.rest()
        arrival = self.arrivals.get(self._patience())
        self._heartbeat.beat()
        until = time.monotonic() + _HANDLE_SECONDS
        while arrival is not None and not self._is_stopping:
            self._handle(arrival)
            arrival = self.arrivals.get(0) if time.monotonic() < until else None

    def _patience(self) -> float | None:
        """Seconds until something has to be done even if nothing arrives."""
        if not (self._is_ready or self._walks.is_walking):
            return 0.0
        waits = [self._timers.seconds_until_due(), self._blindness.seconds_until_due()]
        if self._away is None:
            waits.append(self._walks.seconds_until_visit())
            if not self._timers.is_set("spool"):
                waits.append(self._schedule.seconds_until_due())
        return min((wait for wait in waits if wait is not None), default=None)

    def _handle(self, arrival: Arrival) -> None:
        if isinstance(arrival, ReadEvents):
            # Until the end of this pass, which may have to wait for a file system.
            self._unhandled_after = min(arrival.since, self._unhandled_after or arrival.since)
            self._events.handle(arrival)
        elif isinstance(arrival, NewRules):
            self._use_rules(arrival.rules)
        elif arrival is Notice.MOUNTS_CHANGED:
            self._timers.set_unless_set("mounts", _MOUNTS_SECONDS if self._timers.is_set("mounts rest") else 0)
        else:
            self._is_stopping = True

    def _note_unhandled(self) -> None:
        """Note how far back what has not been spooled yet reaches, at a moment when nothing is half done."""
        moments = [self._schedule.oldest_after(), self._walks.running_since(), self.arrivals.oldest_after()]
        self._unhandled_after = min((moment for moment in moments if moment is not None), default=None)

    def _oldest_unhandled_ns(self) -> int | None:
        """After which moment all happened that is not in the spool yet; for any thread."""
        unhandled, unread, waiting = self._unhandled_after, self._inotify.known_until, self.arrivals.oldest_after()
        return _wall_ns(min(moment for moment in (unhandled, unread, waiting) if moment is not None))

    def _overtaken(self, path: bytes, after: float) -> None:
        """A completed save of this file, later than `after`, can no longer be read: it counts as lost."""
        self._metrics.overtaken.inc()
        cause: Cause = "rate_limited" if self._schedule.is_out_of_allowance(path) else "saves_overtaken"
        self._gaps.declare(
            cause, started_ns=_wall_ns(after), student=student_of(workspace_of(path)), events_lost=1
        )

    def _visited_late(self, directory: bytes, after: float) -> None:
        """What was saved in a new directory before it was watched may have been overwritten or deleted unseen."""
        self._gaps.declare("unwatched", student=student_of(workspace_of(directory)), started_ns=_wall_ns(after))

    def _use_rules(self, rules: FileRules) -> None:
        """Go by new rules: what they add is watched and compared, what they drop is watched no longer."""
        self._rules = self._events.rules = rules
        self._capture.use_rules(rules)
        self._tree.use_rules(rules)
        self._allowances.use_rates(rules.looks_per_second, rules.bytes_per_second)
        self._schedule.longest_wait = _longest_wait(rules)
        self._schedule.max_files = rules.max_files
        self._walks.catch_up(self._all_watched(), lambda _: None)

    # What is due

    def _do_what_is_due(self) -> None:
        if self._timers.is_due("mounts") or self._timers.is_due("check"):
            self._timers.set("check", CHECK_SECONDS)
            self._timers.set("mounts rest", _MOUNTS_SECONDS)
            self._look_at_mounts()
            self._check_root()
        self._timers.is_due("mounts rest")
        if self._events.root_lost or b"" in self._tree.unwatched:
            self._check_root()
        if self._away is not None:
            if self._timers.is_due("reopen"):
                self._reopen()
            return
        if self._events.overflowed_after is not None:
            after, self._events.overflowed_after = self._events.overflowed_after, None
            self._overflowed(after)
        self._let_workspaces_go()
        self._scan_blind()

    def _look_at_mounts(self, *, is_first: bool = False) -> None:
        """Watch the workspaces of pods that came, let those of pods that went linger, and find the blind ones."""
        since_ns, self._mounts_seen_ns = self._mounts_seen_ns, time.time_ns()
        found = self._pod_mounts.look()
        # Where pods have all workspaces by one mount, all are watched; else that mount is kubelet's own.
        blind = {name: reason for name, reason in found.blind.items() if name or not self._follows_pods}
        for workspace in self._blindness.found(blind):
            self._walks.catch_up(self._watched_of(workspace), lambda _: None)
        if not self._follows_pods:
            return
        former, self._workspaces = self._workspaces, found.workspaces
        for workspace, points in found.workspaces.items():
            # Also one that lingers, or whose pod was replaced between two looks: it may have been deleted and made
            # anew meanwhile, and the watches are on what was deleted.
            if points - former.get(workspace, frozenset()):
                self._leaving.pop(workspace, None)
                # At the start, and when the watch root is back, all is compared anyway.
                if not is_first and self._away is None:
                    self._walks.catch_up([workspace], partial(self._pod_caught_up, workspace, since_ns))
                log.info("watching workspace: its pod came", extra=about_work(workspace.decode()))
        for workspace in former.keys() - found.workspaces.keys():
            self._leaving[workspace] = time.monotonic() + LINGER_SECONDS
        if former.keys() != found.workspaces.keys():
            self._timers.set_unless_set("note", 0.0)

    def _pod_caught_up(self, workspace: bytes, since_ns: int, tally: Tally) -> None:
        """What was saved between the pod's coming and the watch on it may have been overwritten unseen."""
        if tally.newest_ns > since_ns:
            self._gaps.declare("unwatched", student=student_of(workspace), started_ns=since_ns)

    def _let_workspaces_go(self) -> None:
        """Let go of workspaces whose pods are long gone, and note those that are watched."""
        now = time.monotonic()
        for workspace in [name for name, moment in self._leaving.items() if moment <= now]:
            del self._leaving[workspace]
            self._tree.unwatch(workspace)
            if workspace in self._crowded:
                self._gaps.close(self._crowded.pop(workspace))
            self._timers.set_unless_set("note", 0.0)
            log.info("workspace no longer watched: its pod went", extra=about_work(workspace.decode()))
        if self._leaving:
            self._timers.set("leave", max(0.0, min(self._leaving.values()) - now))
        if self._timers.is_due("note"):
            try:
                self._captured.note_watched_workspaces([*self._workspaces, *self._leaving])
            except sqlite3.OperationalError as error:
                log.error("cannot note which workspaces are watched: %s", error)
                self._timers.set("note", RETRY_SECONDS)

    def _scan_blind(self) -> None:
        for workspace in self._blindness.due():
            self._walks.catch_up(self._watched_of(workspace), partial(self._blindness.scanned, workspace))
        self._blindness.tell_where_due()

    def _follow_crowded(self) -> None:
        """Declare the workspaces that hold more than is followed, and compare them again from time to time."""
        for workspace in self._tree.crowded - self._crowded.keys():
            self._crowded[workspace] = self._gaps.open("too_many_files", student_of(workspace))
            log.warning(
                "the workspace holds more than is followed (max_directories=%d, max_files=%d): the rest is not"
                " recorded",
                self._rules.max_directories,
                self._rules.max_files,
                extra=about_work(workspace.decode()),
            )
        if self._crowded:
            self._timers.set_unless_set("crowded", CROWDED_SECONDS)
        if self._timers.is_due("crowded"):
            for workspace in tuple(self._crowded):
                self._tree.crowded.discard(workspace)
                self._walks.catch_up([workspace], partial(self._crowded_caught_up, workspace))

    def _crowded_caught_up(self, workspace: bytes, tally: Tally) -> None:
        if workspace not in self._tree.crowded and workspace in self._crowded:
            self._close(self._crowded.pop(workspace), tally)

    def _retry_unwatched(self) -> None:
        """Visit again what could not be watched or read; what is watched again is a gap that ends."""
        for workspace in {workspace_of(directory) for directory in self._tree.unwatched}:
            if workspace not in self._unwatched:
                self._unwatched[workspace] = self._gaps.open("unwatched", student_of(workspace)), Tally()
        if self._unwatched and not self._is_retrying:
            self._timers.set_unless_set("retry", RETRY_SECONDS)
        if self._timers.is_due("retry"):
            self._is_retrying = True
            begun = time.monotonic()
            self._walks.catch_up(sorted(self._tree.unwatched), partial(self._retried, begun))

    def _retried(self, begun: float, tally: Tally) -> None:
        still = {workspace_of(directory) for directory in self._tree.unwatched}
        for workspace, (gap, sum_) in tuple(self._unwatched.items()):
            sum_.add(tally)
            if workspace not in still:
                self._close(gap, sum_)
                del self._unwatched[workspace]
        self._is_retrying = False
        self._timers.set("retry", max(RETRY_SECONDS, _RETRY_LOAD * (time.monotonic() - begun)))

    # What was missed as a whole

    def _overflowed(self, after: float) -> None:
        self._metrics.overflows.inc()
        if self._overflow is not None:
            self._overflow.again = True
            return
        log.error("the inotify queue overflowed (fs.inotify.max_queued_events): scanning all workspaces")
        gap = self._gaps.open("queue_overflow", started_ns=_wall_ns(after))
        self._overflow = _Overflow(gap)
        self._walks.catch_up(self._all_watched(), self._overflow_caught_up)

    def _overflow_caught_up(self, tally: Tally) -> None:
        assert self._overflow is not None
        self._overflow.tally.add(tally)
        if self._overflow.again:
            self._overflow.again = False
            self._walks.catch_up(self._all_watched(), self._overflow_caught_up)
        else:
            self._close(self._overflow.gap, self._overflow.tally)
            self._overflow = None

    def _check_root(self) -> None:
        """Whether the watch root is still what it was; where it is not, wait for it to come back."""
        lost, self._events.root_lost = self._events.root_lost, False
        if self._away is not None:
            return
        if not lost and self._tree.is_current():
            self._root_seen_ns = time.time_ns()
            return
        self._away = "the watch root was unmounted, replaced or deleted"
        log.error("%s: waiting for it", self._away)
        self._gaps.open("remounted", started_ns=self._root_seen_ns)
        self._reopen()

    def _reopen(self) -> None:
        """Go on with what the watch root's path leads to now, if that is what it was."""
        found = self._pod_mounts.root_mount()
        try:
            if found is None or not _takes_the_place_of(found, self._root_mount):
                raise FileNotFoundError(errno.ENOENT, "its file system is not mounted")
            self._tree.reopen()
            self._tree.check_root()
        except OSError as error:
            self._away = f"the watch root is not there: {error.strerror}"
            self._timers.set("reopen", RETRY_SECONDS / 5)
            return
        self._away = None
        self._root_seen_ns = time.time_ns()
        log.warning("the watch root is there again: scanning all workspaces")
        unfinished = self._walks.abandon()
        gap = self._gaps.open("remounted")
        self._walks.catch_up(self._all_watched(), partial(self._remounted, gap, unfinished))

    def _remounted(self, gap: OpenGap, unfinished: Iterable[Ended], tally: Tally) -> None:
        self._close(gap, tally)
        for ended in unfinished:
            ended(tally)

    def _all_watched(self) -> list[bytes]:
        return [*self._workspaces, *self._leaving] if self._follows_pods else [b""]

    def _watched_of(self, workspace: bytes) -> list[bytes]:
        """The directories to compare for a workspace; an empty name stands for all."""
        return [workspace] if workspace else self._all_watched()

    # Looks at files

    def _capture_due(self) -> None:
        if self._timers.is_set("spool") and not self._timers.is_due("spool"):
            return
        for _ in range(_GROUPS):
            looks = self._schedule.take_due(self._group_files)
            if not looks:
                return
            self._has_read_events = False
            try:
                outcome = self._capture.capture(looks, self._activity)
            except sqlite3.OperationalError as error:
                log.error(
                    "the spool cannot be written: %s; files=%d wait", error, len(self._schedule) + len(looks)
                )
                for look in looks:
                    self._schedule.put_back(look, 0.0)
                self._timers.set("spool", RETRY_SECONDS)
                # On a disk that is nearly full there may be room for some.
                self._group_files = max(1, self._group_files // 2)
                return
            self._group_files = min(_GROUP_FILES, 2 * self._group_files)
            for look in (*outcome.unsteady, *outcome.torn):
                self._schedule.put_back(look, self._rules.quiet_seconds)
            for look in outcome.empty:
                self._schedule.put_back(look, EMPTY_SECONDS)
            for look in outcome.failed:
                self._schedule.put_back(look, RETRY_SECONDS)
            for look in outcome.overtaken:
                self._overtaken(look.path, look.after)
            self._tree.crowded |= outcome.too_many
            self._walks.looked(outcome.done)
            # A gap must not stay open for a file that cannot be read: it goes on being tried.
            self._walks.looked(Done(look.path, look.recovered, None) for look in outcome.failed)

    def _activity(self, path: bytes) -> Activity:
        """What events have told of a file, all those included that the kernel holds by now."""
        if not self._has_read_events:
            self._has_read_events = True
            self._inotify.read_now(self.arrivals.put_events)
            for _ in range(len(self.arrivals)):
                arrival = self.arrivals.get(0)
                if arrival is not None:
                    self._handle(arrival)
        return self._schedule.activity(path)

    # How it is, for any thread

    def problem(self) -> str | None:
        """What is wrong with watching, None where nothing is."""
        problems = [problem for problem in (self._away, self._blindness.problem()) if problem]
        if unwatched := len(self._tree.unwatched):
            problems.append(
                f"{unwatched} directories cannot be watched or read, they are scanned every {RETRY_SECONDS:.0f} s"
            )
        if crowded := len(self._crowded):
            problems.append(f"{crowded} workspaces hold more than is followed, the rest is not recorded")
        return "; ".join(problems) or None

    def work(self) -> str:
        """What is watched, in a few words."""
        return f"watching {self._count_workspaces()} workspaces, {len(self._tree)} directories"

    def _count_workspaces(self) -> int:
        return len(self._workspaces) if self._follows_pods else self._tree.count_workspaces()


class _Overflow:
    """An overflow that is being caught up with; `again`: there was another meanwhile."""

    def __init__(self, gap: OpenGap) -> None:
        self.gap = gap
        self.tally = Tally()
        self.again = False


def _takes_the_place_of(mount: Mount, former: Mount | None) -> bool:
    """Whether a mount may hold the workspaces that another held at the start.

    What stands beneath that one does not, nor does a file system of another type.
    """
    return former is None or (len(mount.point) >= len(former.point) and mount.type == former.type)


def _longest_wait(rules: FileRules) -> float:
    """Seconds after which a file is captured although it is still being written."""
    return rules.quiet_seconds * _QUIET_PERIODS


def _wall_ns(monotonic: float) -> int:
    """A moment on the monotonic clock in nanoseconds since the epoch."""
    return time.time_ns() - int((time.monotonic() - monotonic) * 1e9)
