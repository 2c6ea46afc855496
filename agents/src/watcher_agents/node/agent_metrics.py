"""An agent's metrics, as it serves them on the node's loopback."""

from collections.abc import Iterable

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_ANSWER_SECONDS = 5.0


class MetricsUnavailable(Exception):
    """The agent does not serve its metrics; the message is one line."""


class AgentMetrics:
    """The samples of one scrape."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples of this name that have these labels; None where there is none."""
        found = [
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def count(self, name: str) -> int | None:
        """`value` of what comes in whole numbers."""
        value = self.value(name)
        return None if value is None else int(value)

    @property
    def release(self) -> str | None:
        """The release of the running agent."""
        for sample in self._samples:
            if sample.name == "watcher_agent_info":
                return sample.labels["release"]
        return None

    @property
    def ready(self) -> bool:
        """Whether the agent says that it captures."""
        return self.value("watcher_ready") == 1


def scrape(port: int) -> AgentMetrics:
    """Ask the agent on this port. Raises MetricsUnavailable."""
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        answer = httpx.get(url, trust_env=False, timeout=_ANSWER_SECONDS)
        answer.raise_for_status()
        families = list(text_string_to_metric_families(answer.text))
    except (httpx.HTTPError, ValueError) as error:
        raise MetricsUnavailable(f"{url} does not answer: {error}") from error
    return AgentMetrics(sample for family in families for sample in family.samples)
