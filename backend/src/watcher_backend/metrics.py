"""What Prometheus scrapes: requests by route, events by outcome, the writer's queue.

Every label has a bounded set of values: routes are templates, never paths; methods and types are listed.
"""

import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Metrics:
    """All instruments, in a registry of their own, so that two apps in one process do not share figures."""

    def __init__(self, waiting_events: Callable[[], float]) -> None:
        """waiting_events is asked at every scrape."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "watcher_http_requests",
            "Answered HTTP requests.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "watcher_http_request_duration_seconds",
            "Seconds from a request's first byte to its answer's last.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        # Looking a child up by its labels costs more than counting; the keys are as bounded as the labels.
        self._request_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._events = Counter(
            "watcher_ingest_events",
            "Events received, by type (snapshot, build, run, gap, unknown) and what became of them"
            " (stored, duplicate, rejected).",
            ("type", "outcome"),
            registry=self.registry,
        )
        self._commit_seconds = Histogram(
            "watcher_ingest_commit_duration_seconds",
            "Seconds a transaction of the writer took.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._commit_events = Histogram(
            "watcher_ingest_commit_events",
            "Events in one transaction of the writer.",
            buckets=_GROUP_SIZES,
            registry=self.registry,
        )
        Gauge(
            "watcher_ingest_queue_events",
            "Events that wait for the writer.",
            registry=self.registry,
        ).set_function(waiting_events)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        children = self._request_children.get((method, route, status))
        if children is None:
            children = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            self._request_children[method, route, status] = children
        counter, histogram = children
        counter.inc()
        histogram.observe(seconds)

    def count_events(self, event_type: str, outcome: str, number: int = 1) -> None:
        """Count events of one type that were stored, duplicate or rejected."""
        self._events.labels(event_type, outcome).inc(number)

    def count_commit(self, events: int, seconds: float) -> None:
        """Count one transaction of the writer."""
        self._commit_events.observe(events)
        self._commit_seconds.observe(seconds)


class RequestMetrics:
    """ASGI middleware that counts every HTTP request under its route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # what the server answers where an exception passes by here

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", None) or "unmatched"
            self._metrics.count_request(method, route, status, time.perf_counter() - started)
