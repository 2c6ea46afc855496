"""Each log line and metric of the guide that sites follow today has its equal."""

import re
from collections.abc import Iterator

import pytest

from lab.pod import PROJECT, Pod
from lab.stack import Program, Stack
from lab.student_day import HOSTNAME, WORKSPACE
from lab.waiting import wait_for


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack on which the guide's student has saved, compiled, run, saved again and deleted."""
    with Stack() as running:
        running.start("backend", "filemon", "procmon")
        with Pod(HOSTNAME, running.workspaces / WORKSPACE) as pod:
            pod.run("mkdir hw1; echo 'int main(void) { return 0; }' > hw1/hello.c")
            pod.run("gcc hello.c -o hello; ./hello", f"{PROJECT}/hw1")
            wait_for(lambda: _count(running) >= 3, "the save, the build and the run")
            pod.run("echo 'int main(void) { return 1; }' > hello.c", f"{PROJECT}/hw1")
            wait_for(lambda: _count(running) >= 4, "the second save")
            pod.run("rm hello.c", f"{PROJECT}/hw1")
            wait_for(lambda: _count(running) >= 5, "the deletion")
        yield running


def _count(stack: Stack) -> int:
    return len(list(stack.events()))


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("filemon", r"event detected: type=created path=\S+/workspace/os-1-202012180/hw1/hello\.c$"),
        ("filemon", r"snapshot created: path=\S+/snapshots/os-1-202012180/hw1/hello\.c/\d{8}_\d{6}\.c size=29$"),
        ("filemon", r"API success: type=snapshot file=hello\.c id=[0-9a-f]{32} status=stored$"),
        (
            "procmon",
            r"process event: type=build process=gcc pid=\d+ binary=/usr/bin/x86_64-linux-gnu-gcc-12"
            r" args='gcc hello\.c -o hello' cwd=\S+/workspace/os-1-202012180/hw1"
            r" exit_code=0 duration=\d+\.\d{3}s$",
        ),
        ("procmon", r"API success: type=build file=\S+/hw1/hello\.c id=[0-9a-f]{32} status=stored$"),
        ("procmon", r"API success: type=run file=\S+/hw1/hello id=[0-9a-f]{32} status=stored$"),
    ],
)
def test_a_line_an_event_names_the_student(stack: Stack, program: Program, line: str) -> None:
    found = [text for text in stack.log_text(program).splitlines() if re.search(line, text)]
    assert found, stack.log_text(program)
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - os-1-202012180 - [a-z_.]+ - "
    assert re.match(form, found[0])


def test_the_backend_logs_each_request_as_the_guide_shows(stack: Stack) -> None:
    assert re.search(r'127\.0\.0\.1:\d+ - "POST /api/v1/events HTTP/1\.1" 200', stack.log_text("backend")), (
        stack.log_text("backend")
    )


@pytest.mark.parametrize(
    ("program", "metric", "value"),
    [
        ("filemon", 'file_events_total{event_type="create"}', 1),
        ("filemon", 'file_events_total{event_type="modify"}', 1),
        ("filemon", 'file_events_total{event_type="delete"}', 1),
        ("filemon", "watcher_spool_rejected_events", 0),
        ("filemon", "watcher_inotify_overflows_total", 0),
        ("procmon", 'process_events_total{process_name="gcc"}', 1),
        ("procmon", 'process_events_total{process_name="binary"}', 1),
        ("procmon", 'watcher_probe_losses_total{cause="exec_ring_full"}', 0),
        ("procmon", 'watcher_delivered_events_total{status="stored"}', 2),
    ],
)
def test_the_metrics_count_what_happened(stack: Stack, program: Program, metric: str, value: float) -> None:
    assert stack.metric(program, metric) == value
