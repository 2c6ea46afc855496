"""What holds for every test."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from lab.postgres import DatabaseServer

TESTS = Path(__file__).parent
APART = tuple(
    TESTS / name
    for name in (
        "integration/backend",
        "integration/kubernetes",
        "integration/nfs",
        "integration/release",
        "unit/backend",
        "unit/roles",
    )
)
"""What may run while anything else does: it neither looks at this machine's kernel nor changes a limit of it."""


# First: pytest-xdist has to find the marks when its own hook of this name reads them.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all the rest to one of `make test`'s two processes: the probe, for one, sees every pod."""
    for item in items:
        is_apart = any(item.path.is_relative_to(directory) for directory in APART)
        item.add_marker(pytest.mark.xdist_group("apart" if is_apart else "this machine"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that this machine cannot run fails and says what is missing: nothing is skipped silently."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which is not allowed here: {call.excinfo}"
    # What a hostile name has left in a log is no text that could be sent from one process to another.
    report.sections = [(title, _sendable(text)) for title, text in report.sections]
    if report.longrepr is not None and _sendable(report.longreprtext) != report.longreprtext:
        report.longrepr = _sendable(report.longreprtext)
    return report


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """A real PostgreSQL server, started when the first test asks for it."""
    with DatabaseServer() as running:
        yield running
