"""The agents' side of `POST /api/v1/events`: what is sent, and what each kind of answer means."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

from watcher_agents import __version__, wire
from watcher_agents.backend_connection import connect
from watcher_agents.settings import AgentSettings
from watcher_agents.spool import SpooledEvent

BATCH_EVENTS = 500
"""Events in one request; the backend takes up to 1,000."""
BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of events in one request; the backend takes up to 8 MiB."""

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_JSON = {"Content-Type": "application/json"}
RETRY_AFTER_AT_MOST = 600.0
"""Seconds that the backend may ask to be left alone for; who asks for more is asked again after these."""
_REFUSED = (400, 413, 422)
"""Statuses that blame the batch; any other failure is the backend's or the site's, and passes."""

Status = Literal["stored", "duplicate", "rejected"]


@dataclass(frozen=True)
class Result:
    """What became of one event; `problem` says why it was rejected."""

    status: Status
    problem: str | None


class BackendUnavailable(Exception):
    """The batch was not taken and may be sent again; `retry_after` is in seconds, where the backend asked."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class BatchRefused(Exception):
    """The backend will not take this batch as it is."""


class BackendClient:
    """A connection to the backend, kept open between batches; for one thread."""

    def __init__(self, settings: AgentSettings, agent: str) -> None:
        """Raises SettingError where the CA file holds no certificate."""
        self._agent = {"name": agent, "node": settings.node_name, "release": __version__}
        self._client = connect(settings, agent, httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS))

    def send(self, events: Sequence[SpooledEvent]) -> list[Result]:
        """Send one batch; a result for each event, in order. Raises BackendUnavailable or BatchRefused."""
        body = wire.encode(
            {
                "schema": wire.SCHEMA,
                "agent": self._agent,
                "events": [{**event.body, "sequence": event.sequence} for event in events],
            }
        )
        try:
            answer = self._client.post("/api/v1/events", content=body, headers=_JSON)
        except httpx.HTTPError as error:
            raise BackendUnavailable(f"{type(error).__name__}: {error}") from error
        if answer.status_code in _REFUSED:
            raise BatchRefused(f"HTTP {answer.status_code}: {_detail(answer)}")
        if answer.status_code != httpx.codes.OK:
            raise BackendUnavailable(f"HTTP {answer.status_code}: {_detail(answer)}", _retry_after(answer))
        return _results(answer, [event.body["id"] for event in events])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _results(answer: httpx.Response, ids: list[str]) -> list[Result]:
    """A result for each of these ids, in their order.

    An answer that is not the backend's (a captive proxy's page), or is to another batch, takes nothing away.
    """
    try:
        results = {str(entry["id"]): _result(entry) for entry in answer.json()["results"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BackendUnavailable(f"HTTP 200, but not an answer of the backend: {answer.text[:200]!r}") from error
    unanswered = [one for one in ids if one not in results]
    if unanswered or len(results) != len(ids):
        missing = f", none for {unanswered[0]}" if unanswered else ""
        raise BackendUnavailable(f"HTTP 200 with {len(results)} results for {len(ids)} events{missing}")
    return [results[one] for one in ids]


def _result(entry: Any) -> Result:
    status = entry["status"]
    if status not in ("stored", "duplicate", "rejected"):
        raise ValueError(status)
    return Result(status, entry.get("problem"))


def _detail(answer: httpx.Response) -> str:
    """What the backend says is wrong (RFC 9457 `detail`), or the beginning of the answer's text."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds that Retry-After asks for, given as seconds or as a date (RFC 9110, 10.2.3); within bounds."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        # Of digits there may be more than a float has room for.
        return float(min(int(value[:12]), int(RETRY_AFTER_AT_MOST)))
    try:
        date = parsedate_to_datetime(value)
        # A zone of "-0000" makes a naive one (RFC 5322, 3.3): UTC.
        seconds = (date.replace(tzinfo=date.tzinfo or timezone.utc) - datetime.now(timezone.utc)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), RETRY_AFTER_AT_MOST)
