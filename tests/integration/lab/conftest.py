"""The lab's own fixtures, for the tests of the lab itself."""

from lab.fixtures import fleet, machine, pytest_runtest_makereport

__all__ = ["fleet", "machine", "pytest_runtest_makereport"]
