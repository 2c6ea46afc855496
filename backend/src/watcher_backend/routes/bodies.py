"""Request bodies, read here and not by the framework: one parse, and errors of our own shape."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from watcher_backend.problems import ProblemError, invalid_fields
from watcher_backend.text import printable

_Model = TypeVar("_Model", bound=BaseModel)


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


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return OpenAPI's description of a route's body; the app adds the models' schemas to the document."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
        }
    }
