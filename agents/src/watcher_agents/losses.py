"""Losses of what had been spooled: noted in the very transaction that drops it, declared as gaps later.

Like this no drop stays undeclared, whatever ends the program that did it: the running agent declares what is noted
here at its next tick, a stopped one after its next start.
"""

import sqlite3
from dataclasses import dataclass
from typing import Literal

LossCause = Literal["spool_full", "spool_damaged", "dropped_by_operator"]
"""Those causes of gaps that concern what had been spooled."""

TABLE = """
CREATE TABLE IF NOT EXISTS loss (
    cause TEXT NOT NULL,
    workspace TEXT NOT NULL,
    started_ns INTEGER,
    ended_ns INTEGER NOT NULL,
    contents INTEGER NOT NULL,
    events INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    detail TEXT,
    PRIMARY KEY (cause, workspace)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Loss:
    """What was dropped of one workspace; an empty one: of the node, no student's.

    `started_ns`: when the oldest of it happened, in nanoseconds since the epoch, None where that is not known;
    `ended_ns`: when it was dropped. `contents`: versions' contents whose event stays. `counted`: whether the two
    numbers are all of it. `detail` stands for what the numbers cannot say.
    """

    cause: LossCause
    workspace: str
    started_ns: int | None
    ended_ns: int
    contents: int = 0
    events: int = 0
    counted: bool = True
    detail: str | None = None

    @property
    def total(self) -> int | None:
        """How many events lost their content or themselves; None where that is not known."""
        return self.contents + self.events if self.counted else None

    @property
    def text(self) -> str:
        """It in a few words, as a gap's detail."""
        return self.detail or f"contents={self.contents} events={self.events}"


def note(transaction: sqlite3.Connection, loss: Loss) -> None:
    """Note a loss in the transaction that makes it; it is added to what was noted of its cause and workspace."""
    transaction.execute(
        "INSERT INTO loss VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cause, workspace) DO UPDATE SET"
        # NULL, not known, wins: SQLite's min() of it and any number is NULL.
        " started_ns = min(started_ns, excluded.started_ns), ended_ns = max(ended_ns, excluded.ended_ns),"
        " contents = contents + excluded.contents, events = events + excluded.events,"
        " counted = counted AND excluded.counted, detail = coalesce(excluded.detail, detail)",
        (
            loss.cause,
            loss.workspace,
            loss.started_ns,
            loss.ended_ns,
            loss.contents,
            loss.events,
            loss.counted,
            loss.detail,
        ),
    )


def noted(connection: sqlite3.Connection) -> list[Loss]:
    """What is noted and not declared yet."""
    rows = connection.execute(
        "SELECT cause, workspace, started_ns, ended_ns, contents, events, counted, detail FROM loss"
    )
    return [
        Loss(cause, workspace, started_ns, ended_ns, contents, events, bool(counted), detail)
        for cause, workspace, started_ns, ended_ns, contents, events, counted, detail in rows
    ]


def forget(transaction: sqlite3.Connection, loss: Loss) -> None:
    """Forget a loss in the transaction that declares it."""
    transaction.execute("DELETE FROM loss WHERE cause = ? AND workspace = ?", (loss.cause, loss.workspace))
