"""Gaps: times in which work was, or may have been, not recorded, declared as events so that no loss is silent.

See docs/decisions/0013-gaps.md. Nothing here waits for the disk but `settle`, which the main thread calls at its
ticks: a spool that cannot be written for a while delays declarations and loses none.
"""

import logging
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter

from watcher_agents import losses, wire
from watcher_agents.identity import Student, student_of_workspace
from watcher_agents.journal import about
from watcher_agents.losses import Loss
from watcher_agents.spool import Spool
from watcher_agents.state import StateDatabase

log = logging.getLogger(__name__)

Cause = Literal[
    "agent_stopped",
    "queue_overflow",
    "remounted",
    "unwatched",
    "blind_mount",
    "saves_overtaken",
    "rate_limited",
    "too_many_files",
    "probe_loss",
    "spool_full",
    "spool_unwritable",
    "spool_damaged",
    "dropped_by_operator",
]

GATHER_SECONDS = 5.0
"""How long losses that come in numbers are gathered before they are declared together,"""
GATHER_AGAIN_SECONDS = 60.0
"""and how far apart declarations of one cause and student are: whoever floods makes few of them."""
NOTE_SECONDS = 30.0
"""How often "whole until" is noted."""

DETAIL_LIMIT = 512
_NODE = ""
"""Stands for "no student" where a workspace is named."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS open_gap (
    cause TEXT NOT NULL,
    workspace TEXT NOT NULL,
    started_ns INTEGER,
    PRIMARY KEY (cause, workspace)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS whole_until (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    at_ns INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class OpenGap:
    """A gap that has begun and not ended; times in nanoseconds since the epoch, `started_ns` None: unknown."""

    cause: Cause
    student: Student | None
    started_ns: int | None


@dataclass(frozen=True)
class Gap:
    """A gap that has ended. Numbers are None where they are not known, or mean nothing for the cause."""

    cause: Cause
    student: Student | None
    started_ns: int | None
    ended_ns: int
    files_seen: int | None = None
    files_recovered: int | None = None
    events_lost: int | None = None
    detail: str | None = None


_Key = tuple[Cause, str]


class Gaps:
    """Declares gaps, and remembers up to when everything was recorded. Safe to use from several threads."""

    def __init__(
        self,
        state: StateDatabase,
        spool: Spool,
        agent: str,
        node_name: str,
        registry: CollectorRegistry,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.oldest_unhandled_ns: Callable[[], int | None] = lambda: None
        """When the oldest of what was noticed but is not spooled yet happened; None where there is nothing."""
        self._state = state
        self._spool = spool
        self._named = (agent, node_name, wire.read_boot_id())
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._open: dict[_Key, OpenGap] = {}
        self._gathered: dict[_Key, Gap] = {}
        self._due: dict[_Key, float] = {}
        self._declared_at: dict[_Key, float] = {}
        self._ended: list[Gap] = []
        self._changed = False
        self._noted_at: float | None = None
        self._counter = Counter(
            "watcher_gaps", "Gaps declared: work was, or may have been, not recorded", ["cause"], registry=registry
        )
        for cause in get_args(Cause):
            self._counter.labels(cause)
        with state.reading() as connection:
            connection.executescript(_SCHEMA)
            noted = connection.execute("SELECT at_ns FROM whole_until").fetchone()
            for cause, workspace, started_ns in connection.execute("SELECT * FROM open_gap"):
                student = student_of_workspace(workspace)
                self._open[cause, workspace] = OpenGap(cause, student, started_ns)
        self._downtime_from: int | None = noted[0] if noted else None

    def take_downtime(self) -> OpenGap | None:
        """The gap since the last run, open; to be closed by whoever makes up for it. None at the first start."""
        started_ns, self._downtime_from = self._downtime_from, None
        if started_ns is None:
            return None
        return self.open("agent_stopped", started_ns=started_ns)

    def declare_downtime(self) -> None:
        """Declare the gap since the last run, unless it was taken: nothing can make up for it."""
        gap = self.take_downtime()
        if gap is not None:
            self.close(gap)

    def open(self, cause: Cause, student: Student | None = None, *, started_ns: int | None = None) -> OpenGap:
        """Note that a gap has begun, now unless `started_ns` says when; the one that is open already, if any."""
        with self._lock:
            key = _key(cause, student)
            if key not in self._open:
                started = self._clock() if started_ns is None else started_ns
                self._open[key] = OpenGap(cause, student, started)
                self._changed = True
            return self._open[key]

    def opened(self) -> list[OpenGap]:
        """The gaps that are open; right after the start those that the last run has left."""
        with self._lock:
            return list(self._open.values())

    def close(
        self,
        gap: OpenGap,
        *,
        files_seen: int | None = None,
        files_recovered: int | None = None,
        events_lost: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Declare that an open gap has ended now."""
        with self._lock:
            if self._open.pop(_key(gap.cause, gap.student), None) is None:
                return
            ended = self._clock()
            self._ended.append(
                _checked(
                    Gap(
                        gap.cause,
                        gap.student,
                        gap.started_ns,
                        ended,
                        files_seen,
                        files_recovered,
                        events_lost,
                        detail,
                    )
                )
            )

    def declare(
        self,
        cause: Cause,
        *,
        started_ns: int | None = None,
        ended_ns: int | None = None,
        student: Student | None = None,
        events_lost: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Declare a loss that has happened; by default now.

        Gathered per cause and student for some seconds: numbers add up, times join, the last detail stays.
        """
        with self._lock:
            now = self._clock()
            gap = _checked(
                Gap(
                    cause,
                    student,
                    now if started_ns is None else started_ns,
                    now if ended_ns is None else ended_ns,
                    events_lost=events_lost,
                    detail=detail,
                )
            )
            key = _key(cause, student)
            former = self._gathered.get(key)
            self._gathered[key] = gap if former is None else _joined(former, gap)
            if former is None:
                moment = self._monotonic()
                again = self._declared_at.get(key, float("-inf")) + GATHER_AGAIN_SECONDS
                self._due[key] = max(moment + GATHER_SECONDS, again)

    def settle(self, *, final: bool = False) -> None:
        """Spool what is due, `final`: all of it, and note up to when everything is recorded or declared.

        That includes what the spool itself has dropped.

        Raises sqlite3.Error where the spool cannot be written; nothing is forgotten then.
        """
        unhandled = self.oldest_unhandled_ns()
        with self._state.reading() as connection:
            noted = losses.noted(connection)
        with self._lock:
            moment = self._monotonic()
            dropped = {_loss_key(loss) for loss in noted if final or self._may_declare(_loss_key(loss), moment)}
            ended = list(self._ended)
            due = {key: self._gathered[key] for key, at in self._due.items() if final or at <= moment}
            note_due = self._noted_at is None or moment - self._noted_at >= NOTE_SECONDS
            if not (ended or due or dropped or self._changed or note_due or final):
                return
            left_open = [(*key, gap.started_ns) for key, gap in self._open.items()]
            whole_until = self._whole_until(unhandled, due)
            self._changed = False
        declared = [*ended, *due.values()]
        try:
            with self._state.transaction() as transaction:
                # Read anew: more may have been dropped since.
                for loss in losses.noted(transaction):
                    if _loss_key(loss) in dropped:
                        losses.forget(transaction, loss)
                        declared.append(_gap_of(loss))
                transaction.execute("DELETE FROM open_gap")
                transaction.executemany("INSERT INTO open_gap VALUES (?, ?, ?)", left_open)
                self._spool.append(transaction, [(self._event(gap), None) for gap in declared])
                if whole_until is not None:
                    transaction.execute("INSERT OR REPLACE INTO whole_until VALUES (1, ?)", (whole_until,))
        except BaseException:
            self._changed = True
            raise
        self._settled(ended, due, dropped, moment)
        if declared:
            self._spool.announce()
        for gap in declared:
            self._tell(gap)

    def _may_declare(self, key: _Key, moment: float) -> bool:
        """Whether the last gap of this cause and student was long enough ago."""
        return moment >= self._declared_at.get(key, float("-inf")) + GATHER_AGAIN_SECONDS

    def _settled(self, ended: list[Gap], due: dict[_Key, Gap], dropped: set[_Key], moment: float) -> None:
        """Forget what has been spooled; what came meanwhile stays."""
        with self._lock:
            del self._ended[: len(ended)]
            self._declared_at = {
                key: at for key, at in self._declared_at.items() if moment - at < GATHER_AGAIN_SECONDS
            }
            self._declared_at |= dict.fromkeys(dropped, moment)
            for key, gap in due.items():
                self._declared_at[key] = moment
                if self._gathered[key] is gap:
                    del self._gathered[key], self._due[key]
                else:
                    self._gathered[key] = _without(self._gathered[key], gap)
                    self._due[key] = moment + GATHER_AGAIN_SECONDS
            self._noted_at = moment

    def _whole_until(self, unhandled: int | None, declared: Container[_Key]) -> int | None:
        """Up to when everything is recorded, declared, or in an open gap; None where that is not to be noted.

        That is while the gap of the downtime waits for its taker: another start would begin it too late.
        """
        if self._downtime_from is not None:
            return None
        times = [self._clock()] if unhandled is None else [self._clock(), unhandled]
        times += [
            gap.started_ns
            for key, gap in self._gathered.items()
            if key not in declared and gap.started_ns is not None
        ]
        return min(times)

    def _event(self, gap: Gap) -> wire.Event:
        agent, node_name, boot_id = self._named
        workspace = gap.student.workspace if gap.student else _NODE
        started = -1 if gap.started_ns is None else gap.started_ns
        return {
            "id": wire.event_id("gap", agent, node_name, boot_id, gap.cause, workspace, started, gap.ended_ns),
            "type": "gap",
            "workspace": workspace,
            "occurred_at": wire.instant(gap.ended_ns),
            "boot_id": boot_id,
            "class_div": gap.student.class_div if gap.student else None,
            "student_id": gap.student.student_id if gap.student else None,
            "started_at": None if gap.started_ns is None else wire.instant(gap.started_ns),
            "cause": gap.cause,
            "files_seen": gap.files_seen,
            "files_recovered": gap.files_recovered,
            "events_lost": gap.events_lost,
            "detail": gap.detail,
        }

    def _tell(self, gap: Gap) -> None:
        self._counter.labels(gap.cause).inc()
        log.warning(
            "gap: cause=%s from=%s to=%s%s%s%s%s",
            gap.cause,
            "unknown" if gap.started_ns is None else wire.instant(gap.started_ns),
            wire.instant(gap.ended_ns),
            "" if gap.files_seen is None else f" files_seen={gap.files_seen}",
            "" if gap.files_recovered is None else f" files_recovered={gap.files_recovered}",
            "" if gap.events_lost is None else f" events_lost={gap.events_lost}",
            "" if gap.detail is None else f" ({gap.detail})",
            extra=about(gap.student) if gap.student else {},
        )


def _key(cause: Cause, student: Student | None) -> _Key:
    return cause, student.workspace if student else _NODE


def _loss_key(loss: Loss) -> _Key:
    return loss.cause, loss.workspace


def _gap_of(loss: Loss) -> Gap:
    """What the spool dropped, as a gap."""
    student = student_of_workspace(loss.workspace)
    return _checked(
        Gap(loss.cause, student, loss.started_ns, loss.ended_ns, events_lost=loss.total, detail=loss.text)
    )


def _checked(gap: Gap) -> Gap:
    """As the contract wants it: a clock that was stepped back must not let a gap end before it began."""
    started_ns = None if gap.started_ns is None else min(gap.started_ns, gap.ended_ns)
    detail = None
    if gap.detail:
        detail = "".join(char if char.isprintable() else "?" for char in gap.detail)[:DETAIL_LIMIT]
    return replace(gap, started_ns=started_ns, detail=detail)


def _joined(former: Gap, latter: Gap) -> Gap:
    """One gap of the same cause and student for both."""
    starts = (former.started_ns, latter.started_ns)
    return replace(
        latter,
        started_ns=None if None in starts else min(start for start in starts if start is not None),
        ended_ns=max(former.ended_ns, latter.ended_ns),
        events_lost=_sum(former.events_lost, latter.events_lost),
        detail=latter.detail or former.detail,
    )


def _without(joined: Gap, spooled: Gap) -> Gap:
    """What has been added to a gap since it was spooled."""
    if joined.events_lost is None or spooled.events_lost is None:
        return joined
    return replace(joined, started_ns=spooled.ended_ns, events_lost=joined.events_lost - spooled.events_lost)


def _sum(one: int | None, other: int | None) -> int | None:
    """What is not known makes the sum unknown."""
    return None if one is None or other is None else one + other
