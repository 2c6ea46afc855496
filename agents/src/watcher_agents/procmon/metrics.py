"""procmon's own metrics, read from the capture when Prometheus asks."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from watcher_agents.procmon.capture import ProcessCapture
from watcher_agents.procmon.spooling import ProgramSpooler


class CaptureCollector(Collector):
    """What procmon sees, beside the spool and the delivery."""

    def __init__(self, capture: ProcessCapture, spooler: ProgramSpooler) -> None:
        self._capture = capture
        self._spooler = spooler

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the capture at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Counters of what was seen, reported and lost; gauges of what is held."""
        counters = self._capture.counters()
        events = CounterMetricFamily(
            "process_events", "Total number of process events detected", labels=["process_name"]
        )
        # The rule that matched, not the program's own name: a student chooses that, and without end.
        for process_type, count in sorted(counters.reported.items()):
            events.add_metric([process_type], count)
        yield events
        losses = CounterMetricFamily(
            "watcher_probe_losses",
            "Records that the probe could not carry, or not whole, by cause",
            labels=["cause"],
        )
        for cause, count in self._capture.losses().items():
            losses.add_metric([cause], count)
        yield losses
        for name, text, total in (
            ("watcher_programs_seen", "Programs begun in students' pods", counters.seen),
            ("watcher_programs_already_running", "Programs that ran before procmon did", counters.already_running),
            (
                "watcher_exits_without_exec",
                "Ends of programs whose beginning was lost",
                counters.exits_without_exec,
            ),
            (
                "watcher_forged_hostnames",
                "Programs begun under a hostname that is not their pod's",
                counters.forged_hostnames,
            ),
            (
                "watcher_programs_dropped",
                "Programs dropped because the spool could not be written",
                self._spooler.dropped,
            ),
        ):
            yield CounterMetricFamily(name, text, value=total)
        for name, text, value in (
            ("watcher_capture_queue_records", "Records that wait to be decoded", counters.queue_records),
            ("watcher_capture_queue_bytes", "Bytes of the records that wait", counters.queue_bytes),
            ("watcher_processes_followed", "Processes of students' pods alive now", counters.processes),
            ("watcher_programs_held", "Finished programs that wait to be spooled", self._spooler.held),
        ):
            yield GaugeMetricFamily(name, text, value=value)
