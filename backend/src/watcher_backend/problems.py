"""The one shape of every error answer: RFC 9457, application/problem+json."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from peewee import InterfaceError, InternalError, OperationalError
from playhouse.pool import MaxConnectionsExceeded
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from watcher_backend.ingest import QueueFullError, StorageUnavailableError
from watcher_backend.text import printable

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = "5"
_MAX_ERRORS = 20

# The standard library's phrase for these differs between Python versions.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str
    value: str
    problem: str


class Problem(BaseModel):
    """An error answer."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class ProblemError(Exception):
    """Raised anywhere below a route to answer with a problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers


def invalid_field(field: str, value: object, problem: str) -> ProblemError:
    """Return the 422 answer for one wrong field."""
    return ProblemError(
        422,
        f"{field}: {problem}",
        errors=[FieldError(field=field, value=printable(value), problem=problem)],
    )


def invalid_fields(errors: Sequence[ErrorDetails]) -> ProblemError:
    """Return the 422 answer for what pydantic found wrong."""
    fields = [field_error(error) for error in errors[:_MAX_ERRORS]]
    detail = "; ".join(f"{error.field}: {error.problem}" for error in fields[:3])
    if len(errors) > 3:
        detail += f"; and {len(errors) - 3} more"
    return ProblemError(422, detail, errors=fields)


def field_error(error: ErrorDetails) -> FieldError:
    """Return one of pydantic's findings as a field, its value made printable, and what would be right."""
    location = [part for part in error["loc"] if part not in ("body", "path", "query")]
    return FieldError(
        field=printable(".".join(str(part) for part in location)) or "body",
        value=printable(error["input"]),
        problem=printable(error["msg"]),
    )


def problem_response(error: ProblemError) -> Response:
    """Return the HTTP answer for a problem."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(error.status) or HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        content["errors"] = [field.model_dump() for field in error.errors]
    return JSONResponse(content, error.status, error.headers, MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of a route's error answers; 422 and 503 are always among them."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _TITLES.get(status) or HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in sorted({*statuses, 422, 503})
    }


def install(app: FastAPI) -> None:
    """Make every error of the app answer with a problem."""
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(QueueFullError, _answer_queue_full)
    app.add_exception_handler(StorageUnavailableError, _answer_unavailable)
    for unavailable in (OperationalError, InterfaceError, InternalError, MaxConnectionsExceeded):
        app.add_exception_handler(unavailable, _answer_unreadable)
    # The server logs the exception with its trace after this answer; the answer itself tells nothing of it.
    app.add_exception_handler(Exception, _answer_unexpected)


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error)


async def _answer_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_fields(error.errors()))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        404: f"nothing is served at {printable(request.url.path)}",
        405: f"{printable(request.method)} is not offered here",
    }
    detail = details.get(error.status_code, str(error.detail))
    return problem_response(ProblemError(error.status_code, detail, headers=error.headers))


async def _answer_queue_full(request: Request, error: Exception) -> Response:
    return problem_response(
        ProblemError(
            429,
            "more events wait to be written than this service holds; nothing of this request was stored",
            headers={"Retry-After": _RETRY_AFTER_SECONDS},
        )
    )


async def _answer_unavailable(request: Request, error: Exception) -> Response:
    return _unavailable("the events could not be stored; nothing of this request was stored")


async def _answer_unreadable(request: Request, error: Exception) -> Response:
    _log.error("database cannot be read: %s", error)
    return _unavailable("the database cannot be read at the moment")


def _unavailable(detail: str) -> Response:
    return problem_response(ProblemError(503, detail, headers={"Retry-After": _RETRY_AFTER_SECONDS}))


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return problem_response(ProblemError(500, "an unexpected error; it has been logged"))
