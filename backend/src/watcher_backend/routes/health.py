"""Probes and metrics."""

from typing import Literal

from fastapi import APIRouter, Request
from peewee import PeeweeException
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import Response

from watcher_backend.problems import ProblemError, documented
from watcher_backend.services import services_of

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="Whether the process answers")
async def healthz() -> Health:
    """Answer; a process that cannot should be restarted."""
    return Health()


@router.get("/readyz", summary="Whether requests can be served", responses=documented())
def readyz(request: Request) -> Health:
    """Answer whether the database can be read and the writer takes events."""
    services = services_of(request)
    if not services.writer.alive:
        raise ProblemError(503, "the writer does not run")
    try:
        answered = services.database.answers()
    except PeeweeException as error:
        raise ProblemError(503, "the database cannot be read") from error
    if not answered:
        raise ProblemError(503, "the database has no schema")
    return Health()


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def metrics(request: Request) -> Response:
    """Return all metrics in Prometheus's text format."""
    return Response(generate_latest(services_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
