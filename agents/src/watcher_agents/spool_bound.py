"""The spool's bound: who holds most gives up first, contents before events, and every drop is noted as a loss.

So a student who floods the node costs the others nothing of theirs.
"""

import sqlite3
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from watcher_agents import losses, wire
from watcher_agents.losses import Loss, LossCause
from watcher_agents.spool_schema import decoded

ROW_BYTES = 256
"""What a row takes beside its body and content, about: its ids, indexes and places."""

_WORTH_DROPPING_BYTES = 64
"""An event without its content is longer by some bytes; a content below this gives nothing back."""


@dataclass
class _Tally:
    """What was dropped of one workspace."""

    started_ns: int | None
    contents: int = 0
    events: int = 0
    counted: bool = True


class Dropping:
    """Drops things in one transaction and notes the losses at its end."""

    def __init__(self, transaction: sqlite3.Connection, cause: LossCause, now_ns: int) -> None:
        self._transaction = transaction
        self._cause = cause
        self._now_ns = now_ns
        self._tallies: dict[str, _Tally] = {}

    def content(self, sequence: int, workspace: str, body: bytes) -> None:
        """Drop a version's content; its event says so from now on."""
        event = decoded(body)
        let_go_of_content(self._transaction, sequence, wire.encode({**event, "content_omitted": "spool_full"}))
        self._tally(workspace, event).contents += 1

    def event(self, table: str, sequence: int, workspace: str, body: bytes) -> None:
        """Drop an event, waiting or set aside (`table`: event, rejected), with the content that it may have."""
        event = decoded(body)
        self._transaction.execute(f"DELETE FROM {table} WHERE sequence = ?", (sequence,))
        tally = self._tally(workspace, event)
        tally.events += 1
        if event["type"] == "gap":
            # What that gap declared is declared again with this loss, and how much it was is not known any more.
            tally.counted = False
            if event["started_at"] is None:
                tally.started_ns = None

    def note(self) -> None:
        """Note what was dropped. To be called before the transaction is committed."""
        for workspace, tally in self._tallies.items():
            losses.note(
                self._transaction,
                Loss(
                    self._cause,
                    workspace,
                    tally.started_ns,
                    self._now_ns,
                    tally.contents,
                    tally.events,
                    tally.counted,
                ),
            )

    def _tally(self, workspace: str, event: wire.Event) -> _Tally:
        happened = wire.nanoseconds(event.get("started_at") or event["occurred_at"])
        tally = self._tallies.setdefault(workspace, _Tally(happened))
        if tally.started_ns is not None:
            tally.started_ns = min(tally.started_ns, happened)
        return tally


def let_go_of_content(transaction: sqlite3.Connection, sequence: int, body: bytes) -> None:
    """Leave of a waiting event the body alone, in this form; one that has no content any more stays as it is."""
    row = transaction.execute(
        "SELECT id, ?, ?, coalesce(workspace, ''), is_gap FROM event WHERE sequence = ? AND content IS NOT NULL",
        (body, len(body) + ROW_BYTES, sequence),
    ).fetchone()
    if row is not None:
        # Not updated: a row that shrinks keeps its page for itself, and the file would be many times the bound.
        transaction.execute("DELETE FROM event WHERE sequence = ?", (sequence,))
        transaction.execute(
            "INSERT INTO event (sequence, id, body, bytes, workspace, is_gap) VALUES (?, ?, ?, ?, ?, ?)",
            (sequence, *row),
        )


def enforce(transaction: sqlite3.Connection, max_bytes: int, under_way: Container[int], now_ns: int) -> None:
    """Drop until the spool holds at most `max_bytes`, in the caller's transaction.

    `under_way`: sequence numbers of what a sink is being given just now. It is left alone where that is possible:
    what arrives nevertheless would be declared lost.
    """
    (held,) = transaction.execute("SELECT coalesce(sum(bytes), 0) FROM holding").fetchone()
    if held <= max_bytes:
        return
    dropping = Dropping(transaction, "spool_full", now_ns)
    _drop_by_workspace(transaction, held - max_bytes, dropping, under_way)
    (held,) = transaction.execute("SELECT sum(bytes) FROM holding").fetchone()
    if held > max_bytes:
        _drop_oldest(transaction, held - max_bytes, dropping)
    dropping.note()


def _drop_by_workspace(
    transaction: sqlite3.Connection, excess: int, dropping: Dropping, under_way: Container[int]
) -> None:
    """Let the workspace that holds most pay, again and again."""
    held: dict[str, int] = dict(transaction.execute("SELECT workspace, bytes FROM holding"))
    while excess > 0 and held:
        first, *others = sorted(held, key=held.__getitem__, reverse=True)[:2]
        lead = held[first] - held[others[0]] + 1 if others else excess
        # Workspaces that hold the same pay in turns, but in large steps where there is much to pay.
        share = min(excess, max(lead, excess // (2 * len(held))))
        _drop_contents(transaction, first, share, dropping, under_way)
        left = _held_by(transaction, first)
        if left == held[first]:
            _drop_events(transaction, first, share, dropping, under_way)
            left = _held_by(transaction, first)
        excess -= held[first] - left
        if left < held[first]:
            held[first] = left
        else:
            del held[first]


def _held_by(transaction: sqlite3.Connection, workspace: str) -> int:
    size: int
    (size,) = transaction.execute("SELECT bytes FROM holding WHERE workspace = ?", (workspace,)).fetchone()
    return size


def _drop_contents(
    transaction: sqlite3.Connection, workspace: str, share: int, dropping: Dropping, under_way: Container[int]
) -> None:
    rows = transaction.execute(
        "SELECT sequence, length(content), body FROM event"
        " WHERE workspace = ? AND (content IS NULL) = 0 AND is_gap = 0 ORDER BY sequence",
        (workspace,),
    )
    worth = (row for row in rows if row[1] >= _WORTH_DROPPING_BYTES and row[0] not in under_way)
    for sequence, _, body in _enough(worth, share):
        dropping.content(sequence, workspace, body)


def _drop_events(
    transaction: sqlite3.Connection, workspace: str, share: int, dropping: Dropping, under_way: Container[int]
) -> None:
    waiting = (
        "SELECT sequence, length(body) + coalesce(length(content), 0), body, 'event' FROM event"
        " WHERE workspace = :workspace AND (content IS NULL) = {} AND is_gap = 0"
    )
    rows = transaction.execute(
        f"{waiting.format(0)} UNION ALL {waiting.format(1)} UNION ALL"
        " SELECT sequence, length(body), body, 'rejected' FROM rejected"
        " WHERE workspace = :workspace AND is_gap = 0 ORDER BY sequence",
        {"workspace": workspace},
    )
    free = (row for row in rows if row[0] not in under_way)
    for sequence, _, body, table in _enough(free, share):
        dropping.event(table, sequence, workspace, body)


def _drop_oldest(transaction: sqlite3.Connection, share: int, dropping: Dropping) -> None:
    """The last resort, where all that is left is under way or is a gap: what is lost remains declared."""
    rows = transaction.execute(
        "SELECT sequence, bytes, body, 'event', coalesce(workspace, ''), is_gap FROM event UNION ALL"
        " SELECT sequence, bytes, body, 'rejected', coalesce(workspace, ''), is_gap FROM rejected"
        " ORDER BY is_gap, sequence"
    )
    for sequence, _, body, table, workspace, _ in _enough(rows, share):
        dropping.event(table, sequence, workspace, body)


def _enough(rows: Iterable[tuple[Any, ...]], share: int) -> list[tuple[Any, ...]]:
    """The first rows that together give back `share` bytes (their second column); the query ends with that."""
    chosen = []
    total = 0
    for row in rows:
        chosen.append(row)
        total += row[1]
        if total >= share:
            break
    return chosen
