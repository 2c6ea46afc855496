"""The figures that the front end of the system in use today shows, each computed by hand from one small class."""

from typing import Any

import pytest

from integration.backend.server import Server, assert_problem

FIRST, SECOND, THIRD = 202012180, 202012181, 202012182

# (student, file, UTC time as the agents post it, bytes); 0 bytes: a deletion. In Seoul it is nine hours later.
SAVES = [
    (FIRST, "main.c", "20250730_061753.c", 100),
    (FIRST, "main.c", "20250730_061802.417.c", 130),
    (FIRST, "util.h", "20250730_061900.h", 40),
    (FIRST, "main.c", "20250730_062002.c", 90),
    (FIRST, "util.h", "20250730_063010.h", 0),
    (SECOND, "main.c", "20250730_061800.c", 10),
    (SECOND, "main.c", "20250730_062500.c", 15),
]
# What must not be counted: another class, another assignment.
OTHERS = [
    ("os-2/hw1", FIRST, "main.c", "20250730_061800.c", 5000),
    ("os-1/hw2", FIRST, "main.c", "20250730_061800.c", 7000),
]
BUILDS, RUNS = [FIRST, FIRST, THIRD], [FIRST]

SEVERAL = "/api/total_graph_data/os-1/hw1"

EXPECTED: dict[str, Any] = {
    # Sizes in order: 0, 10, 15, 40, 90, 100, 130. The 90th percentile stands at place 6 * 0.9 = 5.4 (from 0), at
    # 100 + 0.4 * 30; the 50th at place 3. Means: 360 / 5 = 72 and 25 / 2 = 12.5, of these 42.25. 7 versions of 2.
    "/api/assignment/os-1/hw1": {
        "percentile_90": 112.0,
        "percentile_50": 40.0,
        "avg_bytes": 42.25,
        "avg_num": 3.5,
        "top_7": [
            {"student_num": FIRST, "timestamp": "20250730_153010", "code_size": 0},
            {"student_num": SECOND, "timestamp": "20250730_152500", "code_size": 15},
        ],
    },
    "/api/assignment/os-1/hw9": {
        "percentile_90": None, "percentile_50": None, "avg_bytes": None, "avg_num": None, "top_7": [],
    },
    # main.c |130 - 100| + |90 - 130| = 70 and util.h |0 - 40|; the second |15 - 10|.
    f"{SEVERAL}/2025-07-30T15:00:00/2025-07-30T16:00:00": {
        "results": [{"student_num": FIRST, "size_change": 110}, {"student_num": SECOND, "size_change": 5}]
    },
    # From the second in which 130 was saved to the one in which 15 was, both included: 130 to 90, and nothing to
    # compare 40 and 15 with.
    f"{SEVERAL}/2025-07-30T15:18:02/2025-07-30T15:25:00": {
        "results": [{"student_num": FIRST, "size_change": 40}, {"student_num": SECOND, "size_change": 0}]
    },
    # The same time in UTC.
    f"{SEVERAL}/2025-07-30T06:18:02Z/2025-07-30T06:25:00%2B00:00": {
        "results": [{"student_num": FIRST, "size_change": 40}, {"student_num": SECOND, "size_change": 0}]
    },
    f"{SEVERAL}/2025-07-30T16:00:00/2025-07-30T15:00:00": {"results": []},
    # 3 builds of 2 students, 1 run of 1.
    "/api/build_avg/os-1/hw1": {"avg_count": 1.5},
    "/api/run_avg/os-1/hw1": {"avg_count": 1.0},
    "/api/run_avg/os-1/hw2": {"avg_count": 0.0},
    # 320 / 3 and 40 / 2.
    f"/api/snapshot_avg/os-1/hw1/{FIRST}/main.c": {"snapshot_avg": 3, "snapshot_size_avg": 106.67},
    f"/api/snapshot_avg/os-1/hw1/{FIRST}/util.h": {"snapshot_avg": 2, "snapshot_size_avg": 20.0},
    f"/api/snapshot_avg/os-1/hw1/{SECOND}/util.h": {"snapshot_avg": None, "snapshot_size_avg": None},
    # 15:17:53 to 15:30:10 is 12 min 17 s; the last two, 15:20:02 and 15:30:10, are 10 min 8 s apart.
    f"/api/assignments/snapshot_avg/os-1/hw1/{FIRST}": {
        "snapshot_avg": 5,
        "snapshot_size_avg": 72.0,
        "first": "2025-07-30T15:17:53",
        "last": "2025-07-30T15:30:10",
        "total": 737.0,
        "interval": 608.0,
    },
    f"/api/assignments/snapshot_avg/os-2/hw1/{FIRST}": {
        "snapshot_avg": 1,
        "snapshot_size_avg": 5000.0,
        "first": "2025-07-30T15:18:00",
        "last": "2025-07-30T15:18:00",
        "total": 0.0,
        "interval": 0.0,
    },
    f"/api/assignments/snapshot_avg/os-1/hw1/{THIRD}": {
        "snapshot_avg": None, "snapshot_size_avg": None, "first": None, "last": None, "total": None,
        "interval": None,
    },
    # Minutes after 15:17:53: 0 and 0 (100, then 130), 1 (130 + 40), 2 (90 + 40), 12 (90).
    f"/api/graph_data/os-1/hw1/{FIRST}/1": {
        "trends": [
            {"timestamp": "20250730_1517", "total_size": 130, "size_change": 130},
            {"timestamp": "20250730_1518", "total_size": 170, "size_change": 40},
            {"timestamp": "20250730_1519", "total_size": 130, "size_change": -40},
            {"timestamp": "20250730_1529", "total_size": 90, "size_change": -40},
        ]
    },
    # In steps of five: the first, and that of minutes 10 to 14, which begins at 15:27:53.
    f"/api/graph_data/os-1/hw1/{FIRST}/5": {
        "trends": [
            {"timestamp": "20250730_1517", "total_size": 130, "size_change": 130},
            {"timestamp": "20250730_1527", "total_size": 90, "size_change": -40},
        ]
    },
    f"/api/graph_data/os-1/hw1/{THIRD}/5": {"trends": []},
}  # fmt: skip


def post_class(server: Server) -> None:
    """Post the class, newest first: what is answered does not depend on the order of arrival."""
    saves = [*((f"os-1/hw1/{student}", *save) for student, *save in SAVES),
             *((f"{work}/{student}", *save) for work, student, *save in OTHERS)]  # fmt: skip
    for work, filename, timestamp, size in reversed(saves):
        server.post(f"/api/{work}/{filename}/{timestamp}", {"bytes": size})
    for kind, students in (("build", BUILDS), ("run", RUNS)):
        for second, student in enumerate(students):
            log = {
                "cmdline": "gcc main.c", "exit_code": 0, "cwd": "/w", "target_path": "/w/main.c",
                "timestamp": f"2025-07-30T06:19:{second:02d}+00:00",
                **({"binary_path": "/usr/bin/gcc"} if kind == "build" else {"process_type": "binary"}),
            }  # fmt: skip
            server.post(f"/api/os-1/hw1/{student}/logs/{kind}", log)


def test_every_figure_is_the_one_computed_by_hand(server: Server) -> None:
    post_class(server)
    assert {path: server.get(path) for path in EXPECTED} == EXPECTED


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        (f"/api/graph_data/os-1/hw1/{FIRST}/0", 400, "interval is 0: expected a number of minutes"),
        (f"/api/graph_data/os-1/hw1/{FIRST}/-5", 400, "interval is -5"),
        (f"/api/graph_data/os-1/hw1/{FIRST}/five", 422, "interval"),
        (f"/api/graph_data/os-1/hw1/{FIRST}/{'9' * 5000}", 422, "interval"),
        (f"{SEVERAL}/yesterday/2025-07-30T15:00:00", 422, "start"),
        (f"{SEVERAL}/2025-07-30T15:00:00/2025-02-30T15:00:00", 422, "end"),
        (f"{SEVERAL}/0001-01-01T00:00:00%2B14:00/2025-07-30T15:00:00", 422, "start"),
        (f"{SEVERAL}/2025-07-30T15:00:00/9999-12-31T23:59:59-14:00", 422, "end"),
        ("/api/assignment/os%201/hw1", 422, "class_div"),
        ("/api/snapshot_avg/os-1/hw1/1/a%2fb", 404, "nothing is served"),
    ],
)
def test_what_makes_no_sense_is_named(server: Server, path: str, status: int, named: str) -> None:
    assert named in assert_problem(server.client.get(path), status)["detail"]


def test_an_interval_longer_than_all_time_is_one_interval(server: Server) -> None:
    server.post(f"/api/os-1/hw1/{FIRST}/main.c/20250730_061753.c", {"bytes": 3})
    assert server.get(f"/api/graph_data/os-1/hw1/{FIRST}/{10**30}") == {
        "trends": [{"timestamp": "20250730_1517", "total_size": 3, "size_change": 3}]
    }


def test_of_many_students_the_seven_that_saved_last_are_named(server: Server) -> None:
    for number in range(9):
        server.post(f"/api/os-1/hw1/{number}/main.c/20250730_06170{number}.c", {"bytes": 10 + number})
        server.post(f"/api/os-1/hw1/{number}/old.c/20250730_06160{number}.c", {"bytes": 1})
    named = server.get("/api/assignment/os-1/hw1")["top_7"]
    assert [(student["student_num"], student["code_size"]) for student in named] == [
        (number, 10 + number) for number in range(8, 1, -1)
    ]
