"""A backend for every test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.backend.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as running:
        yield running
