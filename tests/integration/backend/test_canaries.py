"""DELETE /api/v1/canaries/{student_id} on the running backend."""

import pytest

from integration.backend.server import Server, assert_problem
from unit.backend import samples
from watcher_backend.names import CANARY_CLASS


def test_a_canary_is_removed_and_answers_how_much_that_was(server: Server) -> None:
    student = samples.snapshot()
    canary = [samples.snapshot(class_div=CANARY_CLASS, student_id=7, hw_name=name) for name in ("hw1", "hw2")]
    build = samples.process(class_div=CANARY_CLASS, student_id=7)
    gaps = [samples.gap(class_div=CANARY_CLASS, student_id=7), samples.gap()]
    server.post("/api/v1/events", samples.batch(student, *canary, build, *gaps))
    for removed in (4, 0):
        answer = server.client.delete("/api/v1/canaries/7")
        assert (answer.status_code, answer.json()) == (200, {"removed": removed})
    assert [event["id"] for event in server.get("/api/v1/events")["events"]] == [student["id"]]
    assert [gap["id"] for gap in server.get("/api/v1/gaps")["gaps"]] == [gaps[1]["id"]]
    assert server.get(f"/api/{CANARY_CLASS}/hw1/7") == []
    server.post("/api/v1/events", samples.batch(*canary))
    assert server.get(f"/api/{CANARY_CLASS}/hw1/7") == ["src@hello.c"]


def test_a_reader_that_follows_goes_on_after_a_removal(server: Server) -> None:
    server.post("/api/v1/events", samples.batch(samples.snapshot(class_div=CANARY_CLASS, student_id=7)))
    cursor = server.get("/api/v1/events")["next"]
    server.client.delete("/api/v1/canaries/7")
    event = samples.snapshot()
    server.post("/api/v1/events", samples.batch(event))
    assert [found["id"] for found in server.get("/api/v1/events", after=cursor)["events"]] == [event["id"]]


@pytest.mark.parametrize("student_id", ["x", "-1", "1" * 19, "%2e%2e"])
def test_what_is_no_student_number_removes_nothing(server: Server, student_id: str) -> None:
    assert_problem(server.client.delete(f"/api/v1/canaries/{student_id}"), 404, 422)
