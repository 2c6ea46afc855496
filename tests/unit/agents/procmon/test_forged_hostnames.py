"""Forged hostnames are counted always and told seldom."""

import logging

import pytest

from watcher_agents.identity import Student
from watcher_agents.procmon.forged_hostnames import ForgedHostnames


@pytest.fixture
def now() -> list[float]:
    """The time, for a test to move on."""
    return [0.0]


@pytest.fixture
def forged(now: list[float], caplog: pytest.LogCaptureFixture) -> ForgedHostnames:
    caplog.set_level(logging.WARNING)
    return ForgedHostnames(clock=lambda: now[0])


def student(number: int) -> Student:
    return Student("os-1", number, f"os-1-{number}")


def test_a_name_is_told_once_an_hour(
    forged: ForgedHostnames, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Each of a student's names once, however often it is used, and again after an hour."""
    for _ in range(100):
        forged.note("jcode-os-1-2", student(1))
        forged.note("jcode-os-1-3", student(1))
    assert [record.getMessage() for record in caplog.records] == [
        "forged hostname: a program of os-1-1 says it is jcode-os-1-2",
        "forged hostname: a program of os-1-1 says it is jcode-os-1-3",
    ]
    assert caplog.records[0].__dict__["workspace"] == "os-1-1"
    now[0] = 3601.0
    forged.note("jcode-os-1-2", student(1))
    assert len(caplog.records) == 3
    assert forged.programs == 201


def test_a_student_can_have_few_lines_written(
    forged: ForgedHostnames, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand names make ten lines in an hour; another student's are told all the same."""
    for number in range(1000):
        forged.note(f"name-{number}", student(1))
    assert len(caplog.records) == 10
    forged.note("jcode-os-1-1", student(2))
    assert len(caplog.records) == 11
    now[0] = 3601.0
    for number in range(1000):
        forged.note(f"name-{number}", student(1))
    assert len(caplog.records) == 21
    assert forged.programs == 2001


def test_memory_is_bounded(forged: ForgedHostnames) -> None:
    """Also where there are more students than a node can have."""
    for number in range(5000):
        forged.note("x", student(number))
    assert len(forged._told) == 1024
