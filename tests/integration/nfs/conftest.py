"""A machine with real NFS, with Watcher on it, for all tests here."""

from lab.fixtures import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
