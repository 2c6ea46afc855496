"""However much one student makes, the others' saves are recorded, and what is not is declared."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.hostile_student import HostileStudent, saves_are_recorded, spool_is_empty
from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace

_MEBIBYTE = 1 << 20


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as running:
        running.start("backend", "filemon")
        yield running


def gaps_of(stack: Stack, student: RecordedWorkspace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.get("/api/v1/gaps", class_div="os-1", student_id=student.student_id)[
        "gaps"
    ]
    return found


def resident_bytes(stack: Stack) -> int:
    for line in Path(f"/proc/{stack.pid('filemon')}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def open_gaps(stack: Stack) -> float:
    return stack.metric("filemon", "watcher_crowded_workspaces")


def test_two_hundred_thousand_directories_are_followed_as_far_as_is_allowed(stack: Stack) -> None:
    student, other = HostileStudent(stack), RecordedWorkspace(stack)
    saves_are_recorded(other, "before", 1)
    before = resident_bytes(stack)
    with student.running(
        """
print("begun", flush=True)
for one in range(59):
    os.mkdir(f"{one}")
    for two in range(59):
        os.mkdir(f"{one}/{two}")
        for three in range(58):
            os.mkdir(f"{one}/{two}/{three}")
""",
        to_its_end=True,
    ):
        saves_are_recorded(other, "meanwhile", 5)
    wait_for(lambda: open_gaps(stack) == 1, "the workspace to be found crowded", 60.0)
    saves_are_recorded(other, "after", 5)
    assert stack.metric("filemon", "watcher_inotify_watches") <= 10_000 + 3
    grown = resident_bytes(stack) - before
    print(f"directories: RSS {before // _MEBIBYTE} MiB before, {grown // _MEBIBYTE} MiB more after")
    assert grown < 150 * _MEBIBYTE
    # Deleted as fast as they were made.
    subprocess.run(["rm", "-rf", *student.assignment.iterdir()], check=True)
    saves_are_recorded(other, "later", 5)
    wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") <= 10, "the watches to go", 60.0)
    stack.stop("filemon")
    stack.start("filemon")
    declared = wait_for(
        lambda: (
            [gap for gap in gaps_of(stack, student) if gap["cause"] == "too_many_files"]
            and gaps_of(stack, student)
        ),
        "the gap to be declared",
    )
    # Of directories that were visited late, it is declared, too, that they were not watched.
    assert "too_many_files" in {gap["cause"] for gap in declared} <= {"too_many_files", "unwatched"}
    concerned = {gap["student_id"] for gap in stack.get("/api/v1/gaps")["gaps"]} - {None}
    assert concerned == {student.student_id}


def test_three_hundred_thousand_files_in_a_directory_cost_a_bounded_memory(stack: Stack) -> None:
    student, other = HostileStudent(stack), RecordedWorkspace(stack)
    saves_are_recorded(other, "before", 1)
    before = resident_bytes(stack)
    with student.running(
        """
print("begun", flush=True)
for number in range(300_000):
    os.close(os.open(f"{number}.c", os.O_CREAT | os.O_WRONLY))
""",
        to_its_end=True,
    ):
        saves_are_recorded(other, "meanwhile", 5)
    saves_are_recorded(other, "after", 5)
    wait_for(lambda: open_gaps(stack) == 1, "the workspace to be found crowded", 60.0)
    assert stack.metric("filemon", "watcher_files_waiting") <= 100_000 + 1000
    grown = resident_bytes(stack) - before
    print(f"files: RSS {before // _MEBIBYTE} MiB before, {grown // _MEBIBYTE} MiB more after")
    assert grown < 200 * _MEBIBYTE


def test_names_that_come_and_go_cost_a_bounded_memory(stack: Stack) -> None:
    """Each is another file to look at, and another directory to visit."""
    student, other = HostileStudent(stack), RecordedWorkspace(stack)
    saves_are_recorded(other, "before", 1)
    before = resident_bytes(stack)
    with student.running(
        """
print("begun", flush=True)
for number in range(120_000):
    os.close(os.open(f"{number}.c", os.O_CREAT | os.O_WRONLY))
    os.unlink(f"{number}.c")
    os.mkdir(f"{number}")
    os.rmdir(f"{number}")
""",
        to_its_end=True,
    ):
        saves_are_recorded(other, "meanwhile", 5)
    saves_are_recorded(other, "after", 5)
    grown = resident_bytes(stack) - before
    print(f"names: RSS {before // _MEBIBYTE} MiB before, {grown // _MEBIBYTE} MiB more after")
    assert grown < 200 * _MEBIBYTE


SAVES = int(os.environ.get("WATCHER_TEST_SAVES", "10000"))


def test_a_thousand_saves_a_second_hold_up_nobody_and_are_recorded_or_counted(stack: Stack) -> None:
    """WATCHER_TEST_SAVES=60000 is a minute of it."""
    student = HostileStudent(stack)
    others = [RecordedWorkspace(stack) for _ in range(5)]
    # Warm: what stands in a directory before that is watched is found once, not at each save.
    student.run("open('flood.c', 'w').write('begin')")
    student.wait_for_content(Path("flood.c"), b"begin")
    with student.running(
        f"""
print("begun", flush=True)
begun = time.monotonic()
for number in range({SAVES}):
    with open("next", "w") as file:
        file.write(f"save {{number}}")
    os.rename("next", "flood.c")
    ahead = begun + number / 1000 - time.monotonic()
    if ahead > 0:
        time.sleep(ahead)
""",
        to_its_end=True,
    ):
        for number in range(5):
            for other in others:
                saves_are_recorded(other, f"meanwhile{number}", 1)
    student.wait_for_content(Path("flood.c"), f"save {SAVES - 1}".encode())
    spool_is_empty(stack)
    stack.stop("filemon")
    stack.start("filemon")
    spool_is_empty(stack)
    events, gaps = student.events(), gaps_of(stack, student)
    overflows = [gap for gap in stack.get("/api/v1/gaps")["gaps"] if gap["cause"] == "queue_overflow"]
    assert {gap["cause"] for gap in gaps} <= {"saves_overtaken", "rate_limited"}
    lost = sum(gap["events_lost"] for gap in gaps)
    print(f"saves {SAVES + 1}: stored {len(events)}, declared {lost}, {Counter(gap['cause'] for gap in gaps)}")
    assert overflows == []
    assert stack.content(events[-1]["id"]) == f"save {SAVES - 1}".encode()
    assert len({event["sha256"] for event in events}) == len(events)
    # A save that was read in the place of the one before it is stored, and the one before it counted: exact.
    # What comes between a read and the look at the events counts twice at most once a look.
    assert SAVES + 1 <= len(events) + lost <= SAVES + 1 + len(events)
    for other in others:
        assert gaps_of(stack, other) == []
        assert len(other.events()) == 5
