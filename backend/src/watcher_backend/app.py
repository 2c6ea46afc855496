"""The ASGI application: services, routes, and what stands around every request."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from watcher_backend import __version__, problems
from watcher_backend.body_limit import BodyLimit
from watcher_backend.events import Batch
from watcher_backend.ingest import IngestWriter
from watcher_backend.legacy import BuildPost, RunPost, SnapshotPost
from watcher_backend.metrics import Metrics, RequestMetrics
from watcher_backend.routes import (
    agent_events,
    canaries,
    content,
    events,
    gaps,
    health,
    legacy_analytics,
    legacy_ingest,
    legacy_reads,
)
from watcher_backend.services import Services
from watcher_backend.settings import Settings
from watcher_backend.storage.database import Database

_log = logging.getLogger(__name__)

_DRAIN_SECONDS = 30.0

# Bodies that the routes read themselves, and the error shape: the framework does not see these models.
_DOCUMENTED_MODELS: tuple[type[BaseModel], ...] = (Batch, BuildPost, RunPost, SnapshotPost, problems.Problem)


def create_app(settings: Settings, database: Database) -> FastAPI:
    """Return the application over an open database; it closes the database when it shuts down."""
    metrics = Metrics(lambda: writer.waiting_events)
    writer = IngestWriter(database, on_commit=metrics.count_commit)
    services = Services(settings, database, writer, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        writer.start()
        try:
            yield
        finally:
            if not await run_in_threadpool(writer.stop, _DRAIN_SECONDS):
                _log.error("the writer did not end within %s s; its clients were not answered", _DRAIN_SECONDS)
            database.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="Watcher",
        version=__version__,
        summary="How students' code came to be",
        lifespan=lifespan,
        # Swagger UI would otherwise ask a validator on the internet about this document.
        swagger_ui_parameters={"validatorUrl": None},
        middleware=[
            Middleware(RequestMetrics, metrics=metrics),
            Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"]),
            Middleware(BodyLimit),
        ],
    )
    app.state.services = services
    problems.install(app)
    # The routes are tried in this order, so the busiest stand first; and the old GETs last, to which
    # /api/v1/events/... and /api/assignment/... read as a class, an assignment and a student.
    old = (legacy_analytics, legacy_reads)
    for routes in (legacy_ingest, agent_events, health, events, content, gaps, canaries, *old):
        app.include_router(routes.router)
    _document_models(app)
    return app


def _document_models(app: FastAPI) -> None:
    """Add the schemas that routes refer to by name to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        _, schema = models_json_schema(
            [(model, "validation") for model in _DOCUMENTED_MODELS],
            ref_template="#/components/schemas/{model}",
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, definition in schema["$defs"].items():
            schemas.setdefault(name, definition)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
