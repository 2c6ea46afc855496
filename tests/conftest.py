"""What holds for every test."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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


class InTwoGroups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives all that looks at this machine to one of two processes: the probe, for one, sees every pod.

    By path, and not by pytest-xdist's marks: where it does not find them, as with pytest 9.2, it says nothing.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = TESTS.parent / nodeid.partition("::")[0]
        return "apart" if any(path.is_relative_to(directory) for directory in APART) else "this machine"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InTwoGroups:
    """Tell pytest-xdist which tests must not run side by side."""
    return InTwoGroups(config, log)


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
