"""Waiting for what shows that an agent recorded the canary: its line in the journal, its row at the backend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from watcher_agents.identity import Student
from watcher_agents.node.canary_records import BackendFailed, CanaryRecords
from watcher_agents.node.installed_agents import Agent
from watcher_agents.node.steps import StepFailed, Steps, wait_for

Row = dict[str, Any]


class Journal(Protocol):
    """What an agent writes to the journal."""

    def entries(self, fields: Mapping[str, str]) -> list[dict[str, str]]:
        """The entries with these fields since the verification began, oldest first."""


@dataclass(frozen=True)
class Evidence:
    """Where to look for one agent's traces of one student; every wait takes at most `within` seconds."""

    agent: Agent
    student: Student
    journal: Journal | None
    """None where the agent's log level keeps its lines about events out of the journal."""
    records: CanaryRecords
    within: float
    steps: Steps
    cause: Callable[[], str]
    """Why there may be none, as far as that can be known; else empty."""

    def in_journal(self, line: Callable[[str], bool], what: str) -> str | None:
        """Wait for the agent's line and return the id of the event that it is about; None without a journal.

        A step of its own. Raises StepFailed.
        """
        if self.journal is None:
            return None
        journal = self.journal
        number = self.student.workspace.rpartition("-")[2]

        def look() -> str | None:
            for entry in journal.entries({"STUDENT_ID": number}):
                # The agents write `workspace - module - message`.
                if line(entry.get("MESSAGE", "").split(" - ", 2)[-1]):
                    return entry.get("EVENT_ID", "(none)")
            return None

        with self.steps.step(f"{what} in the journal") as step:
            event_id = wait_for(look, self.within, self._not_logged)
            step.detail = f"EVENT_ID={event_id}"
        return event_id

    def _not_logged(self) -> str:
        return (
            f"{self.agent.unit} logged nothing of it within {self.within:g} s:"
            f" {self.cause() or f'look at journalctl -u {self.agent.unit} and at watcher-agent status'}"
        )

    def at_backend(self, event_type: str, mine: Callable[[Row], bool], what: str, event_id: str | None) -> Row:
        """Wait for the row and return it; it has to have the id that the journal told. A step of its own.

        Raises StepFailed.
        """
        reason = "it has no such event"

        def look() -> Row | None:
            nonlocal reason
            try:
                rows = self.records.events(event_type)
            except BackendFailed as error:
                reason = str(error)
                return None
            reason = "it has no such event"
            return next((row for row in rows if mine(row)), None)

        with self.steps.step(f"{what} at the backend") as step:
            row = wait_for(look, self.within, lambda: self._not_arrived(reason))
            if event_id is not None and row["id"] != event_id:
                raise StepFailed(f"the backend has it as event {row['id']}, the journal as {event_id}")
            step.detail = f"event {row['id']}"
        return row

    def _not_arrived(self, reason: str) -> str:
        return (
            f"not at the backend within {self.within:g} s ({reason}):"
            f" {self.cause() or f'look at journalctl -u {self.agent.unit} and at the log of the backend'}"
        )
