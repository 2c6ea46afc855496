"""Prometheus metrics that both agents have: the spool and the delivery. Each agent adds its own."""

import sqlite3
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from watcher_agents import __version__
from watcher_agents.spool import Backlog, Spool
from watcher_agents.state import StateDatabase


def new_registry() -> CollectorRegistry:
    """A registry with the process's own metrics."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def ready_gauge(registry: CollectorRegistry) -> Gauge:
    """Whether the agent captures; 0 until it does."""
    return Gauge("watcher_ready", "Whether the agent captures", registry=registry)


class DeliveryMetrics:
    """Counters of what delivery does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.delivered = Counter(
            "watcher_delivered_events",
            "Events that the backend acknowledged, by its answer",
            ["status"],
            registry=registry,
        )
        for status in ("stored", "duplicate", "rejected"):
            self.delivered.labels(status)
        self.failures = Counter(
            "watcher_delivery_failures",
            "Attempts that failed and are repeated, by sink; spool: it could not be written",
            ["sink"],
            registry=registry,
        )
        for sink in ("snapshot_volume", "backend", "spool"):
            self.failures.labels(sink)


class SpoolCollector(Collector):
    """What waits in the spool, counted when Prometheus asks."""

    def __init__(self, spool: Spool, state: StateDatabase) -> None:
        self._spool = spool
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """No look into the spool at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The spool's gauges and the agent's release; of a spool that cannot be read only that it cannot."""
        release = GaugeMetricFamily("watcher_agent_info", "Release of the agent", labels=["release"])
        release.add_metric([__version__], 1)
        yield release
        yield GaugeMetricFamily("watcher_spool_limit_bytes", "Bytes that it may hold", value=self._spool.max_bytes)
        writable = self._state.problem() is None
        try:
            backlog = self._spool.backlog()
        except sqlite3.OperationalError:
            # What is asked for is told by this: the spool does not work.
            writable = False
        else:
            yield from _backlog_gauges(backlog)
        yield GaugeMetricFamily("watcher_spool_writable", "Whether the spool can be written", value=writable)


def _backlog_gauges(backlog: Backlog) -> Iterable[Metric]:
    """What waits."""
    for name, text, value in (
        ("watcher_spool_events", "Events that wait for delivery", backlog.events),
        (
            "watcher_spool_unstored_events",
            "Events that wait for the snapshot volume, among those that wait for delivery",
            backlog.unstored,
        ),
        ("watcher_spool_rejected_events", "Events that the backend refused, set aside", backlog.rejected),
        ("watcher_spool_bytes", "Bytes of the events that wait or are set aside", backlog.bytes),
        (
            "watcher_last_event_timestamp_seconds",
            "When this agent recorded its last event, Unix time; 0 before the first",
            backlog.newest,
        ),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def serve_metrics(registry: CollectorRegistry, port: int) -> None:
    """Serve a registry at `/metrics` on every address of the node, where the cluster's Prometheus asks.

    It ends with the process: ending it in order takes up to half a second, in which a restarting agent captures
    nothing. Raises OSError where the port is taken.
    """
    start_http_server(port, registry=registry)
