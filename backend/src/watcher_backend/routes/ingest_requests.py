"""What the ingest endpoints share: they read their requests themselves.

The framework would take a third of a single post's time to find out what is known already, and parse JSON a
second way. Its router, its documentation and its error handling stay in use.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from watcher_backend.names import check_legacy_name, parse_student_id
from watcher_backend.problems import ProblemError, invalid_field, invalid_fields
from watcher_backend.storage.records import WorkKey
from watcher_backend.text import printable

_Model = TypeVar("_Model", bound=BaseModel)
_Value = TypeVar("_Value")


class IngestRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


async def json_body(request: Request) -> bytes:
    """Return the body of a request that says it is JSON, or says nothing.

    Raises ProblemError: 415 for another content type, 422 for an empty body.
    """
    content_type = request.headers.get("content-type", "application/json")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(415, f"expected Content-Type application/json, not {printable(content_type)}")
    body = await request.body()
    if not body:
        raise ProblemError(422, "the body is empty; expected JSON")
    return body


async def read_body(request: Request, model: type[_Model]) -> _Model:
    """Return the body as ``model``. Raises ProblemError (415, 422)."""
    body = await json_body(request)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False)) from None


def work_of(request: Request) -> WorkKey:
    """Return whose work on what a path names. Raises ProblemError (422) for a name that cannot be one."""
    return WorkKey(
        path_value(request, "class_div", check_legacy_name),
        path_value(request, "hw_name", check_legacy_name),
        path_value(request, "student_id", parse_student_id),
    )


def path_value(request: Request, name: str, check: Callable[[str], _Value]) -> _Value:
    """Return what ``check`` makes of a path parameter. Raises ProblemError (422) where it raises ValueError."""
    value = request.path_params[name]
    try:
        return check(value)
    except ValueError as error:
        raise invalid_field(name, value, str(error)) from None


def documented_request(model: type[BaseModel], **path_parameters: str) -> dict[str, Any]:
    """Return OpenAPI's description of a route's path parameters (name and description) and body.

    The app adds the models' schemas to the document.
    """
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": description,
            "schema": {"type": "integer" if name == "student_id" else "string"},
        }
        for name, description in path_parameters.items()
    ]
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    return {
        **({"parameters": parameters} if parameters else {}),
        "requestBody": {"required": True, "content": body},
    }
