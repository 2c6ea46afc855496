"""Fixtures for tests on the lab's nodes and machine; a failed test shows their journals.

A conftest imports what it needs from here. Two conftests that import a fixture have two of what it makes: where
several directories share one, it belongs into the conftest above them.
"""

import subprocess
from collections.abc import Generator, Iterator

import pytest

from lab.commands import CommandFailedError
from lab.fleet import Fleet
from lab.machine import Machine
from lab.node import Node

__all__ = ["fleet", "pytest_runtest_makereport"]

_SHOWN_LINES = 200


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Three bare nodes."""
    with Fleet(nodes=3) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each journal to the report of a test that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for host in _hosts(item):
            lines = _journal(host).splitlines()[-_SHOWN_LINES:]
            report.sections.append((f"journal of {host.name}", "\n".join(lines)))
    return report


def _hosts(item: pytest.Function) -> Iterator[Node | Machine]:
    for value in item.funcargs.values():
        if isinstance(value, Fleet):
            yield from value.nodes
        elif isinstance(value, Node | Machine):
            yield value


def _journal(host: Node | Machine) -> str:
    try:
        return host.journal()
    except (AssertionError, CommandFailedError, subprocess.TimeoutExpired) as error:
        # The test's own failure must be shown, whatever state the host is in.
        return f"not to be had: {error}"
