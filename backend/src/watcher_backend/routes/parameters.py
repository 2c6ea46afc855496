"""Path and query parameters that several routes share."""

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from watcher_backend.cursors import CursorOf, decode_cursor
from watcher_backend.names import (
    LEGACY_NAME_PATTERN,
    MAX_FILENAME_LENGTH,
    MAX_LEGACY_NAME_LENGTH,
    MAX_STUDENT_ID,
    check_filename,
    parse_student_id,
)
from watcher_backend.problems import invalid_field
from watcher_backend.storage.records import WorkKey


def _student_id(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_student_id(value)
    except ValueError as error:
        raise PydanticCustomError("student_id", "{reason}", {"reason": str(error)}) from None


def _filename(value: str) -> str:
    try:
        return check_filename(value)
    except ValueError as error:
        raise PydanticCustomError("filename", "{reason}", {"reason": str(error)}) from None


ClassDiv = Annotated[
    str,
    Path(
        description="Subject and division, like os-1.",
        pattern=LEGACY_NAME_PATTERN,
        max_length=MAX_LEGACY_NAME_LENGTH,
    ),
]
HwName = Annotated[
    str,
    Path(description="Assignment, like hw1.", pattern=LEGACY_NAME_PATTERN, max_length=MAX_LEGACY_NAME_LENGTH),
]
StudentNumber = Annotated[int, BeforeValidator(_student_id)]
StudentId = Annotated[StudentNumber, Path(description="Student number.", ge=0, le=MAX_STUDENT_ID)]
Filename = Annotated[
    str,
    AfterValidator(_filename),
    Path(
        description="Path below the assignment, directories joined with @, like src@hello.c.",
        max_length=MAX_FILENAME_LENGTH,
    ),
]
EventId = Annotated[str, Path(description="32 hexadecimal digits.", pattern=r"^[0-9a-f]{32}$")]

NameFilter = Annotated[str | None, Query(pattern=LEGACY_NAME_PATTERN, max_length=MAX_LEGACY_NAME_LENGTH)]
StudentFilter = Annotated[StudentNumber | None, Query(ge=0, le=MAX_STUDENT_ID)]
After = Annotated[str | None, Query(description="An earlier answer's `next`.", max_length=64)]
PageLimit = Annotated[int, Query(description="Most entries of a page.", ge=1, le=1000)]


def row_after(of: CursorOf, after: str | None) -> int:
    """Return the row that a page begins after. Raises ProblemError (422) for what is no cursor of this list."""
    try:
        return 0 if after is None else decode_cursor(of, after)
    except ValueError as error:
        raise invalid_field("after", after, str(error)) from None


async def _work(class_div: ClassDiv, hw_name: HwName, student_id: StudentId) -> WorkKey:
    return WorkKey(class_div, hw_name, student_id)


WorkOf = Annotated[WorkKey, Depends(_work)]
