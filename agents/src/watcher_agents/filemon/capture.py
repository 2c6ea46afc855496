"""Capture: from "something happened to this file" to a version in the spool.

The content decides: what was read is compared with what was last captured, so an event too many costs a look and
nothing else, and a save that is seen late is the version that it is.
"""

import hashlib
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from watcher_agents import wire
from watcher_agents.filemon.captured import CapturedVersion, CapturedVersions
from watcher_agents.filemon.metrics import FilemonMetrics
from watcher_agents.filemon.rules import FileRules
from watcher_agents.filemon.safe_open import FileContent, directory_beneath, read_beneath, state_beneath
from watcher_agents.filemon.source_path import SourcePath, parse_source_path
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.journal import about
from watcher_agents.spool import Content, Spool
from watcher_agents.state import StateDatabase

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """A file to look at."""

    path: bytes
    """Below the watch root."""
    recovered: bool = False
    """Found by comparing the tree with what was last captured, rather than by an event."""
    final: bool = False
    """Whether to take the file as it is, although it changes while it is read."""
    since: float = 0.0
    """Monotonic seconds at which the file began to wait."""


@dataclass
class Outcome:
    """What came of a group of looks, beside the versions now in the spool."""

    unsteady: list[Look] = field(default_factory=list)
    """Files that changed while they were read; to be looked at again."""
    failed: list[Look] = field(default_factory=list)
    """Files that could not be read for now."""


@dataclass
class _Group:
    """What one transaction will write."""

    events: list[tuple[wire.Event, Content | None]] = field(default_factory=list)
    versions: list[CapturedVersion] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    reports: list[tuple[SourcePath, str, bytes, str]] = field(default_factory=list)


class FileCapture:
    """Reads files and spools each version that is new."""

    def __init__(
        self,
        watch_root: str,
        root_fd: int,
        rules: FileRules,
        state: StateDatabase,
        captured: CapturedVersions,
        spool: Spool,
        metrics: FilemonMetrics,
        heartbeat: Heartbeat,
    ) -> None:
        """`heartbeat`: of the thread that looks."""
        self._watch_root = watch_root
        self._root_fd = root_fd
        self._rules = rules
        self._state = state
        self._captured = captured
        self._spool = spool
        self._metrics = metrics
        self._boot_id = wire.read_boot_id()
        self._heartbeat = heartbeat

    def use_rules(self, rules: FileRules) -> None:
        """Go by these rules from now on."""
        self._rules = rules

    def capture(self, looks: Iterable[Look]) -> Outcome:
        """Look at each file and spool what is new, all in one transaction that is on disk on return.

        Raises sqlite3.Error where the spool cannot be written; then nothing was captured.
        """
        outcome = Outcome()
        group = _Group()
        for look in looks:
            self._heartbeat.beat()
            source = parse_source_path(look.path, self._rules)
            if source is None:
                continue
            known = self._captured.of(look.path)
            try:
                if look.recovered and known and state_beneath(self._root_fd, look.path) == known.state:
                    continue
                file = read_beneath(self._root_fd, look.path, self._rules.max_file_bytes)
                workspace_is_there = file is not None or self._is_there(source.student.workspace)
            except OSError as error:
                self._metrics.unreadable.inc()
                log.warning(
                    "cannot read %s: %s", self._shown(look.path), error.strerror, extra=about(source.student)
                )
                outcome.failed.append(look)
                continue
            if file is not None and not file.steady and not look.final:
                outcome.unsteady.append(look)
                continue
            if file is not None:
                self._saved(group, source, known, look, file)
            elif known is not None and workspace_is_there:
                # A whole workspace that is missing was unmounted or removed by the site, not by the student.
                self._deleted(group, source, known, look)
        self._commit(group)
        return outcome

    def _is_there(self, workspace: str) -> bool:
        with directory_beneath(self._root_fd, workspace.encode()) as path_fd:
            return path_fd is not None

    def _saved(
        self, group: _Group, source: SourcePath, known: CapturedVersion | None, look: Look, file: FileContent
    ) -> None:
        if file.content is None:
            sha256, digest = None, f"size:{file.state.size}:mtime:{file.state.mtime_ns}"
        else:
            sha256 = digest = hashlib.sha256(file.content).hexdigest()
        if known is not None and known.digest == digest:
            if known.state != file.state:
                group.versions.append(CapturedVersion(look.path, file.state, digest, known.version_id))
            self._metrics.unchanged.inc()
            return
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
        group.versions.append(CapturedVersion(look.path, file.state, digest, version_id))
        group.reports.append((source, change, look.path, version_id))

    def _deleted(self, group: _Group, source: SourcePath, known: CapturedVersion, look: Look) -> None:
        # The file system keeps no time of a deletion; the id follows from the version that was deleted.
        noticed_ns = time.time_ns()
        version_id = wire.event_id("deleted", known.version_id)
        body = self._body(source, version_id, "deleted", noticed_ns, 0, look.recovered)
        group.events.append((body, Content(b"", _directory(source), source.extension, noticed_ns)))
        group.gone.append(look.path)
        group.reports.append((source, "deleted", look.path, version_id))

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


def _below(source: SourcePath) -> bytes:
    return b"/".join(source.below)


def _directory(source: SourcePath) -> str:
    """Where a file's snapshots are kept, relative to the snapshot volume's root."""
    return f"{source.student.workspace}/{source.hw_name}/{source.filename}"
