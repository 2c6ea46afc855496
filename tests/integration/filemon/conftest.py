"""A backend and a filemon that the tests of a module share; each test has a student of its own."""

from collections.abc import Iterator

import pytest

from lab.stack import Stack
from lab.workspace import RecordedWorkspace


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        running.start("backend", "filemon")
        yield running


@pytest.fixture
def workspace(stack: Stack) -> RecordedWorkspace:
    return RecordedWorkspace(stack)
