"""The interface of the system in use today, as its agents, its front end and the notebook hook use it."""

from typing import Any

import pytest

from integration.backend.server import Server
from unit.backend import samples

WORK = "/api/os-1/hw1/202012180"
# What procmon posts today for a build and a run, and what the notebook hook posts.
BUILD = {
    "binary_path": "/usr/bin/x86_64-linux-gnu-gcc-12",
    "cmdline": "gcc -o hello hello.c",
    "exit_code": 1,
    "cwd": "/home/coder/project/hw1",
    "target_path": "/home/coder/project/hw1/hello.c",
    "timestamp": "2025-07-30T06:18:00.250000+00:00",
}
RUN = {
    "cmdline": "./hello",
    "exit_code": 139,
    "cwd": "/home/coder/project/hw1",
    "target_path": "/home/coder/project/hw1/hello",
    "process_type": "binary",
    "timestamp": "2025-07-30T06:18:05+00:00",
}
HOOK = {
    "timestamp": "2025-07-30T15:18:10.613932",
    "exit_code": 0,
    "cmdline": "<unknown>",
    "cwd": "/home/coder/project/hw1",
    "target_path": "ipykernel",
    "process_type": "python",
}


def test_a_students_day_is_answered_as_today(server: Server) -> None:
    """Seoul is nine hours ahead of the UTC that snapshots are named by: 06:17:53 there is 15:17:53 here.

    Code at each log by hand: hello.c 120 bytes at 06:17:53 and 130 at 06:18:02, src@util.h 30 at 06:17:55.
    The build at 06:18:00 stood on 120 + 30, both runs on 130 + 30.
    """
    for name, timestamp, size in (
        ("hello.c", "20250730_061753.c", 120),
        ("src@util.h", "20250730_061755.h", 30),
        ("hello.c", "20250730_061802.417.c", 130),
    ):
        assert server.post(f"{WORK}/{name}/{timestamp}", {"bytes": size}) == {
            "message": "Snapshot registered successfully"
        }
    assert server.post(f"{WORK}/logs/build", BUILD) == {"message": "Build log registered successfully"}
    assert server.post(f"{WORK}/logs/run", RUN) == {"message": "Run log registered successfully"}
    assert server.post(f"{WORK}/logs/run", HOOK) == {"message": "Run log registered successfully"}

    assert server.get(WORK) == ["hello.c", "src@util.h"]
    assert server.get(f"{WORK}/hello.c") == ["20250730_151753", "20250730_151802"]
    assert server.get(f"{WORK}/src@util.h") == ["20250730_151755"]
    assert server.get(f"{WORK}/logs/build") == [
        {**BUILD, "timestamp": "2025-07-30T15:18:00.250000", "file_size": 150}
    ]
    assert server.get(f"{WORK}/logs/run") == [
        {**HOOK, "file_size": 160},
        {**RUN, "timestamp": "2025-07-30T15:18:05", "file_size": 160},
    ]


@pytest.mark.parametrize("path", [WORK, f"{WORK}/hello.c", f"{WORK}/logs/build", f"{WORK}/logs/run"])
def test_where_nothing_is_the_answer_is_an_empty_list(server: Server, path: str) -> None:
    assert server.get(path) == []


def test_a_repeated_post_is_answered_200_and_stored_once(server: Server) -> None:
    for _ in range(3):
        server.post(f"{WORK}/hello.c/20250730_061753.c", {"bytes": 120})
        server.post(f"{WORK}/logs/build", BUILD)
        server.post(f"{WORK}/logs/run", HOOK)
    assert server.get(f"{WORK}/hello.c") == ["20250730_151753"]
    assert len(server.get(f"{WORK}/logs/build")) == len(server.get(f"{WORK}/logs/run")) == 1
    assert server.metric("watcher_ingest_events_total", type="snapshot", outcome="duplicate") == 2


def test_the_hook_may_not_know_the_assignment_and_may_send_more_than_is_known(server: Server) -> None:
    server.post("/api/os-1/unknown/202012180/logs/run", {**HOOK, "kernel": "python3"})
    [run] = server.get("/api/os-1/unknown/202012180/logs/run")
    assert run == {**HOOK, "file_size": 0}


def test_created_modified_and_deleted_are_told_apart_for_todays_agents(server: Server) -> None:
    for timestamp, size in (("061753", 12), ("061754", 13), ("061755", 0), ("061756", 14)):
        server.post(f"{WORK}/hello.c/20250730_{timestamp}.c", {"bytes": size})
    events = server.get("/api/v1/events")["events"]
    assert [event["change"] for event in events] == ["created", "modified", "deleted", "created"]


def test_our_agents_events_are_answered_by_the_old_endpoints_too(server: Server) -> None:
    build = samples.process(exit_code=None, signal=9, occurred_at="2025-07-30T06:18:00.000001Z")
    run = samples.process(type="run", exit_code=None, replaced_by_exec=True)
    saved = samples.snapshot(size=6, occurred_at="2025-07-30T06:17:53.417000Z")
    server.post("/api/v1/events", samples.batch(build, run, saved))
    assert server.get(f"{WORK}/src@hello.c") == ["20250730_151753"]
    [answered] = server.get(f"{WORK}/logs/build")
    assert answered == {
        "binary_path": "/usr/bin/gcc",
        "cmdline": "gcc 'my file.c' -o a.out",
        "exit_code": 137,
        "cwd": "/home/coder/project/hw1",
        "target_path": "/home/coder/project/hw1/my file.c",
        "timestamp": "2025-07-30T15:18:00.000001",
        "file_size": 6,
    }
    [answered] = server.get(f"{WORK}/logs/run")
    assert (answered["exit_code"], answered["process_type"]) == (0, "gcc")


@pytest.mark.parametrize(
    "filename", ["한글.py", "a b.c", "a%b.c", "a?b.c", "a#b.c", "a\\b.c", "x" * 255, "logs", "..a"]
)
def test_any_name_that_a_file_can_have_comes_back_as_it_is(server: Server, filename: str) -> None:
    path = f"{WORK}/{_quoted(filename)}"
    server.post(f"{path}/20250730_061753.c", {"bytes": 1})
    assert server.get(WORK) == [filename]
    assert server.get(path) == ["20250730_151753"]


@pytest.mark.parametrize("student", ["0", "999999999999999999"])
def test_the_smallest_and_the_largest_student_number_are_taken(server: Server, student: str) -> None:
    server.post(f"/api/os-1/hw1/{student}/a.c/20250730_061753.c", {"bytes": 1})
    assert server.get(f"/api/os-1/hw1/{student}") == ["a.c"]


def test_a_page_from_anywhere_may_ask(server: Server) -> None:
    for method in ("GET", "POST"):
        preflight = server.client.options(
            WORK, headers={"Origin": "https://front.example", "Access-Control-Request-Method": method}
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"
    answer = server.client.get(WORK, headers={"Origin": "https://front.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_the_log_names_class_student_and_file_of_every_post_in_the_guides_form(server: Server) -> None:
    server.post(f"{WORK}/hello.c/20250730_061753.c", {"bytes": 120})
    server.post(f"{WORK}/logs/build", BUILD)
    lines = server.log().splitlines()
    assert any(
        line.startswith("INFO: 127.0.0.1:")
        and line.endswith('"POST /api/os-1/hw1/202012180/hello.c/20250730_061753.c HTTP/1.1" 200 OK')
        for line in lines
    )
    assert f"INFO: stored class=os-1 hw=hw1 student=202012180 type=build name={BUILD['binary_path']}" in lines


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def test_every_old_endpoint_stands_beside_the_versioned_ones(server: Server) -> None:
    """A class called v1 with an assignment called events would read like the versioned addresses."""
    documented: dict[str, Any] = server.get("/openapi.json")["paths"]
    assert {path for path in documented if path.startswith("/api/")} == {
        "/api/{class_div}/{hw_name}/{student_id}",
        "/api/{class_div}/{hw_name}/{student_id}/{filename}",
        "/api/{class_div}/{hw_name}/{student_id}/logs/build",
        "/api/{class_div}/{hw_name}/{student_id}/logs/run",
        "/api/{class_div}/{hw_name}/{student_id}/{filename}/{timestamp}",
        "/api/assignment/{class_div}/{hw_name}",
        "/api/assignments/snapshot_avg/{class_div}/{hw_name}/{student_id}",
        "/api/build_avg/{class_div}/{hw_name}",
        "/api/graph_data/{class_div}/{hw_name}/{student_id}/{interval}",
        "/api/run_avg/{class_div}/{hw_name}",
        "/api/snapshot_avg/{class_div}/{hw_name}/{student_id}/{filename}",
        "/api/total_graph_data/{class_div}/{hw_name}/{start}/{end}",
        "/api/v1/canaries/{student_id}",
        "/api/v1/events",
        "/api/v1/events/{id}",
        "/api/v1/events/{id}/content",
        "/api/v1/gaps",
        "/api/v1/gaps/{id}",
    }
    event = samples.snapshot(id="1" * 32)
    server.post("/api/v1/events", samples.batch(event))
    assert server.get(f"/api/v1/events/{'1' * 32}")["filename"] == "src@hello.c"
