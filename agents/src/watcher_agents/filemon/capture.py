"""Capture: from "something happened to this file" to a version in the spool.

The content decides: what was read is compared with what was last captured, so an event too many costs a look and
nothing else, and a save that is seen late is the version that it is.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from watcher_agents import wire
from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.captured import CapturedVersion, CapturedVersions
from watcher_agents.filemon.metrics import FilemonMetrics
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.safe_open import FileContent, FileState, directory_beneath, read_beneath, state_beneath
from watcher_agents.filemon.schedule import Activity, Look, workspace_of
from watcher_agents.filemon.source_path import SourcePath, parse_source_path
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.journal import about
from watcher_agents.spool import Content, Spool
from watcher_agents.state import StateDatabase

log = logging.getLogger(__name__)

EMPTY_SECONDS = 0.5
"""A file that is empty is looked at again after so long: whoever saves it in place has cut it off to write it."""
_SOON_NS = 1_000_000_000
"""Longer than any file system's clock stands still, and than a server's clock is off where it is kept."""


@dataclass(frozen=True)
class Done:
    """A file that has been looked at, and what came of it."""

    path: bytes
    recovered: bool
    """As in the look."""
    saved_ns: int | None
    """When the version that is now in the spool was saved or deleted; None where there was nothing new."""


@dataclass
class Outcome:
    """What came of a group of looks, beside the versions now in the spool."""

    done: list[Done] = field(default_factory=list)
    unsteady: list[Look] = field(default_factory=list)
    """Files that changed while they were read; to be looked at again."""
    empty: list[Look] = field(default_factory=list)
    """Files that have just become empty; to be looked at again in EMPTY_SECONDS."""
    failed: list[Look] = field(default_factory=list)
    """Files that could not be read for now."""
    torn: list[Look] = field(default_factory=list)
    """Files that were read in the middle of the next save; its end, or quiet, will tell when to look again."""
    overtaken: list[Look] = field(default_factory=list)
    """Completed saves whose content was gone before it could be read."""
    too_many: set[bytes] = field(default_factory=set)
    """Workspaces with more files than are recorded; those of these looks that are new were left out."""


@dataclass(frozen=True)
class _Reading:
    look: Look
    source: SourcePath
    known: CapturedVersion | None
    file: FileContent | None


@dataclass
class _Group:
    """What one transaction will write."""

    events: list[tuple[wire.Event, Content | None]] = field(default_factory=list)
    versions: list[CapturedVersion] = field(default_factory=list)
    new: list[bytes] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    reports: list[tuple[SourcePath, str, bytes, str]] = field(default_factory=list)


class FileCapture:
    """Reads files and spools each version that is new."""

    def __init__(
        self,
        watch_root: str,
        tree: WatchedTree,
        rules: FileRules,
        state: StateDatabase,
        captured: CapturedVersions,
        spool: Spool,
        allowances: Allowances,
        metrics: FilemonMetrics,
        heartbeat: Heartbeat,
    ) -> None:
        """`heartbeat`: of the thread that looks."""
        self._watch_root = watch_root
        self._tree = tree
        self._rules = rules
        self._state = state
        self._captured = captured
        self._spool = spool
        self._allowances = allowances
        self._metrics = metrics
        self._boot_id = wire.read_boot_id()
        self._heartbeat = heartbeat

    def use_rules(self, rules: FileRules) -> None:
        """Go by these rules from now on."""
        self._rules = rules

    def capture(self, looks: Iterable[Look], activity: Callable[[bytes], Activity]) -> Outcome:
        """Look at each file and spool what is new, all in one transaction that is on disk on return.

        `activity` is asked after all were read, and knows of every event up to then. Raises sqlite3.Error where
        the spool cannot be written; then nothing was captured.
        """
        outcome = Outcome()
        group = _Group()
        readings = [reading for look in looks if (reading := self._read(look, outcome))]
        for reading in readings:
            self._decide(reading, activity(reading.look.path), group, outcome)
        self._commit(group)
        return outcome

    def _read(self, look: Look, outcome: Outcome) -> _Reading | None:
        """Read a file; None where there is nothing to decide, of which `outcome` is told."""
        self._heartbeat.beat()
        source = parse_source_path(look.path, self._rules)
        if source is None:
            outcome.done.append(Done(look.path, look.recovered, None))
            return None
        known = self._captured.of(look.path)
        try:
            if look.recovered and known and state_beneath(self._tree.root_fd, look.path) == known.state:
                outcome.done.append(Done(look.path, look.recovered, None))
                return None
            file = read_beneath(self._tree.root_fd, look.path, self._rules.max_file_bytes)
            workspace_is_there = file is not None or self._is_there(source.student.workspace)
        except OSError as error:
            self._metrics.unreadable.inc()
            log.warning("cannot read %s: %s", self._shown(look.path), error.strerror, extra=about(source.student))
            outcome.failed.append(look)
            return None
        if file is not None and not file.steady and not look.final:
            outcome.unsteady.append(look)
            return None
        waited = time.monotonic() - look.since
        if file is not None and file.state.size == 0 and waited < EMPTY_SECONDS and not look.final:
            outcome.empty.append(look)
            return None
        if file is None and not workspace_is_there:
            # A whole workspace that is missing was unmounted or removed by the site, not by the student.
            outcome.done.append(Done(look.path, look.recovered, None))
            return None
        return _Reading(look, source, known, file)

    def _decide(self, reading: _Reading, activity: Activity, group: _Group, outcome: Outcome) -> None:
        """Add what is new to the group; `activity`: what the file's events have told since the look was taken."""
        look, source, known, file = reading.look, reading.source, reading.known, reading.file
        saved_ns = None
        is_newer = file is not None and activity is not Activity.NONE and self._is_newer(look, file)
        if look.complete and (file is None or is_newer):
            outcome.overtaken.append(look)
        if is_newer and activity is Activity.WRITING and not look.final:
            # Half of the next save.
            outcome.torn.append(look)
            return
        if file is None:
            if known is not None:
                saved_ns = self._deleted(group, source, known, look)
        elif known is None and self._captured.count(workspace_of(look.path)) >= self._rules.max_files:
            outcome.too_many.add(workspace_of(look.path))
        else:
            saved_ns = self._saved(group, source, known, look, file)
        outcome.done.append(Done(look.path, look.recovered, saved_ns))

    def _is_newer(self, look: Look, file: FileContent) -> bool:
        """Whether what was read belongs to what came after the look was taken, rather than to the save before it.

        It does where the file is still as it was read: all that was written is in it. An empty file that is
        being written has been cut off to be written anew.
        """
        if file.state.size == 0:
            return True
        try:
            return state_beneath(self._tree.root_fd, look.path) == file.state
        except OSError:
            # It will be looked at again in any case.
            return True

    def _is_there(self, workspace: str) -> bool:
        with directory_beneath(self._tree.root_fd, workspace.encode()) as path_fd:
            return path_fd is not None

    def _saved(
        self, group: _Group, source: SourcePath, known: CapturedVersion | None, look: Look, file: FileContent
    ) -> int | None:
        """Add a version to the group, unless its content is the last one's; when it was saved."""
        if file.content is None:
            sha256, digest = None, f"size:{file.state.size}:mtime:{file.state.mtime_ns}"
        else:
            sha256 = digest = hashlib.sha256(file.content).hexdigest()
        state = _comparable(file.state)
        if known is not None and known.digest == digest:
            if known.state != state:
                group.versions.append(CapturedVersion(look.path, state, digest, known.version_id))
            self._metrics.unchanged.inc()
            return None
        saved_ns = file.state.ctime_ns
        version_id = wire.event_id(
            "snapshot", source.student.workspace, source.hw_name, _below(source), saved_ns, digest
        )
        change = "created" if known is None else "modified"
        body = self._body(source, version_id, change, saved_ns, file.state.size, look.recovered)
        body["sha256"] = sha256
        content = None
        if file.content is None:
            body["content_omitted"] = "too_large"
        else:
            content = Content(file.content, _directory(source), source.extension, saved_ns)
        group.events.append((body, content))
        group.versions.append(CapturedVersion(look.path, state, digest, version_id))
        if known is None:
            group.new.append(look.path)
        group.reports.append((source, change, look.path, version_id))
        self._allowances.spend(workspace_of(look.path), 0, file.state.size if content else 0)
        return saved_ns

    def _deleted(self, group: _Group, source: SourcePath, known: CapturedVersion, look: Look) -> int:
        # The file system keeps no time of a deletion; the id follows from the version that was deleted.
        noticed_ns = time.time_ns()
        version_id = wire.event_id("deleted", known.version_id)
        body = self._body(source, version_id, "deleted", noticed_ns, 0, look.recovered)
        group.events.append((body, Content(b"", _directory(source), source.extension, noticed_ns)))
        group.gone.append(look.path)
        group.reports.append((source, "deleted", look.path, version_id))
        return noticed_ns

    def _body(
        self, source: SourcePath, version_id: str, change: str, moment_ns: int, size: int, recovered: bool
    ) -> wire.Event:
        return {
            "id": version_id,
            "type": "snapshot",
            "occurred_at": wire.instant(moment_ns),
            "boot_id": self._boot_id,
            **wire.identity_fields(source.student, source.hw_name),
            "filename": source.filename,
            "change": change,
            "size": size,
            "sha256": None,
            "snapshot_path": None,
            "content_omitted": None,
            "recovered": recovered,
        }

    def _commit(self, group: _Group) -> None:
        if not (group.events or group.versions):
            return
        with self._state.transaction() as transaction:
            self._spool.append(transaction, group.events)
            self._captured.note(transaction, group.versions)
            self._captured.forget(transaction, group.gone)
        self._captured.count_changed(group.new, group.gone)
        if group.events:
            self._spool.announce()
        for source, change, path, version_id in group.reports:
            self._metrics.file_events.labels(EVENT_TYPES[change]).inc()
            log.info(
                "event detected: type=%s path=%s",
                change,
                self._shown(path),
                extra=about(source.student, source.hw_name, version_id),
            )

    def _shown(self, path: bytes) -> str:
        return f"{self._watch_root}/{path.decode('utf-8', 'surrogateescape')}"


EVENT_TYPES = {"created": "create", "modified": "modify", "deleted": "delete"}
"""A change on the wire, and its label in `file_events_total`, as dashboards know it."""


def _comparable(state: FileState) -> FileState:
    """A state to compare a later one with; one that is equal to none where the file has just been changed.

    File systems stamp changes by a clock that may stand still for some milliseconds: another save of the same
    size may leave the very same state. So a file that was read so soon is read once more when it is compared
    (as git does with what it calls racily clean entries).
    """
    return replace(state, ctime_ns=0) if time.time_ns() - state.ctime_ns < _SOON_NS else state


def _below(source: SourcePath) -> bytes:
    return b"/".join(source.below)


def _directory(source: SourcePath) -> str:
    """Where a file's snapshots are kept, relative to the snapshot volume's root."""
    return f"{source.student.workspace}/{source.hw_name}/{source.filename}"
