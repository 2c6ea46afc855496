"""What holds for every test."""

from collections.abc import Generator, Iterator

import pytest

from lab.postgres import DatabaseServer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that this machine cannot run fails and says what is missing: nothing is skipped silently."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which is not allowed here: {call.excinfo}"
    return report


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """A real PostgreSQL server, started when the first test asks for it."""
    with DatabaseServer() as running:
        yield running
