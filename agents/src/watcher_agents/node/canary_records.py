"""The canary's events at the backend: read, and removed again."""

from typing import Any

import httpx

from watcher_agents.backend_connection import connect
from watcher_agents.identity import Student
from watcher_agents.settings import AgentSettings

_ANSWER_SECONDS = 10.0


class BackendFailed(Exception):
    """The backend did not do what was asked; the message is one line."""


class CanaryRecords:
    """One student's events, asked for as the agent that delivers them would; also a context manager."""

    def __init__(self, settings: AgentSettings, student: Student) -> None:
        """Raises SettingError where the CA file holds no certificate."""
        self._student = student
        self._node = settings.node_name
        self._client = connect(settings, "agent", httpx.Timeout(_ANSWER_SECONDS))

    def __enter__(self) -> "CanaryRecords":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def events(self, event_type: str) -> list[dict[str, Any]]:
        """The student's newest events of a type from this node, in the order of arrival. Raises BackendFailed."""
        parameters = {
            "class_div": self._student.class_div,
            "student_id": str(self._student.student_id),
            "type": event_type,
            "limit": "1000",
        }
        found: list[dict[str, Any]] = self._document("GET", "/api/v1/events", parameters)["events"]
        return [event for event in found if event["node"] == self._node]

    def content(self, event_id: str) -> bytes:
        """A version's content. Raises BackendFailed."""
        return self._answer("GET", f"/api/v1/events/{event_id}/content").content

    def remove(self) -> int:
        """Remove the student's events; how many there were. Raises BackendFailed."""
        removed: int = self._document("DELETE", f"/api/v1/canaries/{self._student.student_id}")["removed"]
        return removed

    def _document(self, method: str, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any]:
        answer = self._answer(method, path, parameters)
        try:
            document: dict[str, Any] = answer.json()
        except ValueError as error:
            raise BackendFailed(
                f"{method} {answer.url}: not an answer of the backend: {answer.text[:200]}"
            ) from error
        return document

    def _answer(self, method: str, path: str, parameters: dict[str, str] | None = None) -> httpx.Response:
        asked = f"{method} {self._client.base_url.join(path)}"
        try:
            answer = self._client.request(method, path, params=parameters)
        except httpx.HTTPError as error:
            raise BackendFailed(f"{asked}: {type(error).__name__}: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise BackendFailed(f"{asked}: HTTP {answer.status_code}: {answer.text[:200]}")
        return answer
