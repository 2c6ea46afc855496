"""The lab's own fixtures, for the tests of the lab itself."""

from lab.fixtures import fleet, pytest_runtest_makereport

__all__ = ["fleet", "pytest_runtest_makereport"]
