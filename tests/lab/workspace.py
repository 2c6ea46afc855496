"""A student's workspace on a running stack, and what the backend has recorded of it."""

import itertools
from pathlib import Path
from typing import Any

from lab.stack import Stack
from lab.waiting import wait_for

_student_ids = itertools.count(202600001)


class RecordedWorkspace:
    """A fresh student's workspace with an assignment directory, watched by the stack's agents."""

    def __init__(self, stack: Stack, hw_name: str = "hw1") -> None:
        self.student_id = next(_student_ids)
        self.name = f"os-1-{self.student_id}"
        self._stack = stack
        self.directory = stack.workspaces / self.name
        self.assignment = self.directory / hw_name
        self.assignment.mkdir(parents=True)

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """This student's events at the backend, in the order in which they happened."""
        page = self._stack.get(
            "/api/v1/events", class_div="os-1", student_id=self.student_id, limit=1000, **filters
        )
        return sorted(page["events"], key=lambda event: (str(event["occurred_at"]), int(event["sequence"])))

    def wait_for_events(self, count: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """This student's events, once there are at least `count`."""
        return wait_for(
            lambda: events if len(events := self.events()) >= count else [],
            f"{count} events of {self.name}; there are {[_brief(event) for event in self.events()]}",
            seconds,
        )

    def wait_for_content(self, path: Path, content: bytes) -> dict[str, Any]:
        """The version of the file at `path` (below the assignment) that has this content, once it is there."""
        filename = "@".join(path.parts)

        def look() -> dict[str, Any]:
            for event in self.events():
                is_version = event["filename"] == filename and event["sha256"] is not None
                if is_version and self._stack.content(event["id"]) == content:
                    return event
            return {}

        return wait_for(look, f"{filename} of {self.name} with {content[:40]!r}")

    def changes(self) -> list[tuple[str, str]]:
        """What was recorded: file name and change, in the order in which it happened."""
        return [(event["filename"], event["change"]) for event in self.events()]


def _brief(event: dict[str, Any]) -> str:
    return f"{event['filename']} {event['change']}"
