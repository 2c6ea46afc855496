"""What the routes work with, made once when the program starts."""

from dataclasses import dataclass

from starlette.requests import Request

from watcher_backend.ingest import IngestWriter
from watcher_backend.metrics import Metrics
from watcher_backend.settings import Settings
from watcher_backend.storage.database import Database


@dataclass(frozen=True)
class Services:
    """Settings, the database, its writer and the metrics."""

    settings: Settings
    database: Database
    writer: IngestWriter
    metrics: Metrics


def services_of(request: Request) -> Services:
    """Return the services of the app that serves this request."""
    services: Services = request.app.state.services
    return services
