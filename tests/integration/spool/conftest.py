"""What the tests of the spool and of delivery share."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry

from lab.spooling import spool, state
from lab.troubled_backend import Server
from watcher_agents.backend_client import BackendClient
from watcher_agents.delivery import Delivery
from watcher_agents.lifecycle import Lifecycle
from watcher_agents.metrics import DeliveryMetrics
from watcher_agents.settings import read_agent_settings
from watcher_agents.spool import Spool

__all__ = ["delivery", "lifecycle", "server", "spool", "state"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
def delivery(server: Server, spool: Spool, lifecycle: Lifecycle) -> Iterator[Delivery]:
    url = f"http://127.0.0.1:{server.server_port}"
    settings = read_agent_settings({"WATCHER_API_URL": url, "WATCHER_API_TOKEN": "example"}, "filemon", 9090)
    with closing(BackendClient(settings, "filemon")) as backend:
        running = Delivery(spool, backend, DeliveryMetrics(CollectorRegistry()), None)
        running.start(lifecycle)
        yield running
        assert running.stop(0.0)
    assert lifecycle.exit_code == 0
