"""The batch endpoint and what it stored, read again."""

import hashlib
import os
import re
from typing import Any

import pytest

from integration.backend.server import Server, assert_problem
from unit.backend import samples


def deliver(server: Server, *events: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = server.post("/api/v1/events", samples.batch(*events))["results"]
    return results


def test_each_event_of_a_batch_gets_its_own_answer_in_order(server: Server) -> None:
    saved, built, wrong = samples.snapshot(), samples.process(), samples.snapshot(student_id="x")
    results = deliver(server, saved, wrong, built, saved, 5)
    assert [(result["id"], result["status"]) for result in results] == [
        (saved["id"], "stored"),
        (wrong["id"], "rejected"),
        (built["id"], "stored"),
        (saved["id"], "duplicate"),
        (None, "rejected"),
    ]
    assert results[0]["problem"] is None
    assert results[1]["problem"] == "student_id: Input should be a valid integer (got x)"
    assert [result["status"] for result in deliver(server, built, saved)] == ["duplicate", "duplicate"]
    assert len(server.get("/api/v1/events")["events"]) == 2
    for kind, outcome, number in (
        ("snapshot", "stored", 1), ("build", "stored", 1), ("snapshot", "duplicate", 2),
        ("build", "duplicate", 1), ("snapshot", "rejected", 1), ("unknown", "rejected", 1),
    ):  # fmt: skip
        assert server.metric("watcher_ingest_events_total", type=kind, outcome=outcome) == number


@pytest.mark.parametrize(
    "event",
    [
        samples.snapshot(),
        samples.snapshot(change="deleted", size=0, sha256=None, snapshot_path=None),
        samples.snapshot(
            content_omitted="too_large", sha256=None, snapshot_path=None, recovered=True, size=2**63 - 1
        ),
        samples.snapshot(content_omitted="spool_full", sha256=None, snapshot_path=None),
        samples.process(argv=[], exit_code=0),
        samples.process(hostname_forged=True),
        samples.process(type="run", exit_code=None, signal=11, core_dumped=True, argv=["./a", "", "한글", "a\nb"]),
        samples.process(exit_code=None, replaced_by_exec=True, already_running=True, argv_truncated=True),
    ],
    ids=lambda event: f"{event['type']}-{event['id'][-4:]}",
)
def test_every_field_that_an_agent_sends_comes_back(server: Server, event: dict[str, Any]) -> None:
    assert deliver(server, event)[0]["status"] == "stored"
    for answered in (server.get("/api/v1/events")["events"][0], server.get(f"/api/v1/events/{event['id']}")):
        assert {name: answered[name] for name in event} == event
        surplus = {name: answered[name] for name in answered if name not in event}
        received_at = surplus.pop("received_at")
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", received_at)
        surplus.pop("cmdline", None)
        assert surplus == {"agent": "filemon", "node": "worker-1", "release": "0.1.0"}


def test_a_file_that_a_catch_up_on_another_node_found_was_modified_there(server: Server) -> None:
    saved = samples.snapshot(change="created")
    later = {"occurred_at": "2025-07-30T06:19:00.000000Z", "sha256": "0" * 64}
    found = samples.snapshot(change="created", recovered=True, **later)
    deliver(server, saved)
    deliver(server, found)
    assert [server.get(f"/api/v1/events/{event['id']}")["change"] for event in (saved, found)] == [
        "created",
        "modified",
    ]


def test_a_client_that_follows_sees_everything_once_and_in_order(server: Server) -> None:
    assert server.get("/api/v1/events")["events"] == []
    cursor = server.get("/api/v1/events")["next"]
    sent: list[str] = []
    seen: list[str] = []
    for size in (1, 5, 0, 12):
        events = [samples.snapshot() for _ in range(size)]
        sent += [event["id"] for event in events]
        if events:
            deliver(server, *events)
        page = server.get("/api/v1/events", after=cursor, limit=5)
        while page["events"]:
            seen += [event["id"] for event in page["events"]]
            page = server.get("/api/v1/events", after=page["next"], limit=5)
        cursor = page["next"]
    assert seen == sent


def test_filters_narrow_the_list(server: Server) -> None:
    deliver(
        server,
        samples.snapshot(),
        samples.process(),
        samples.snapshot(class_div="os-2"),
        samples.process(type="run", student_id=7),
        samples.snapshot(hw_name="hw2"),
    )

    def found(**wanted: Any) -> list[tuple[str, str, int, str]]:
        return [
            (event["class_div"], event["hw_name"], event["student_id"], event["type"])
            for event in server.get("/api/v1/events", **wanted)["events"]
        ]

    assert found(class_div="os-2") == [("os-2", "hw1", 202012180, "snapshot")]
    assert found(student_id=7) == [("os-1", "hw1", 7, "run")]
    assert found(hw_name="hw2") == [("os-1", "hw2", 202012180, "snapshot")]
    assert found(class_div="os-1", type="build") == [("os-1", "hw1", 202012180, "build")]
    assert found(class_div="os-9") == []


def test_content_is_given_as_it_was_saved(server: Server) -> None:
    content = b"int main(void) {}\r\n\0\xff"
    event = _with_content(server, content)
    answer = server.client.get(f"/api/v1/events/{event['id']}/content")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_empty_file_has_content_too(server: Server) -> None:
    event = _with_content(server, b"")
    answer = server.client.get(f"/api/v1/events/{event['id']}/content")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"change": "deleted", "size": 0, "sha256": None}, "deleted"),
        ({"content_omitted": "too_large", "sha256": None, "snapshot_path": None}, "too_large"),
        ({"content_omitted": "spool_full", "sha256": None, "snapshot_path": None}, "spool_full"),
        ({"sha256": None, "snapshot_path": None}, "did not say"),
        ({}, "not on the snapshot volume"),
        ({"snapshot_path": "link/secret"}, "link"),
        ({"snapshot_path": "link.c"}, "link"),
        ({"snapshot_path": "fifo"}, "no regular file"),
    ],
)
def test_where_there_is_no_content_the_reason_is_said(server: Server, changes: dict[str, Any], said: str) -> None:
    (server.directory / "secret").write_bytes(b"secret")
    (server.snapshot_root / "link").symlink_to(server.directory)
    (server.snapshot_root / "link.c").symlink_to(server.directory / "secret")
    os.mkfifo(server.snapshot_root / "fifo")
    event = samples.snapshot(**changes)
    assert deliver(server, event)[0]["status"] == "stored"
    problem = assert_problem(server.client.get(f"/api/v1/events/{event['id']}/content"), 404)
    assert said in problem["detail"]


def test_a_build_has_no_content_and_an_unknown_event_is_not_found(server: Server) -> None:
    event = samples.process()
    deliver(server, event)
    assert "build" in assert_problem(server.client.get(f"/api/v1/events/{event['id']}/content"), 404)["detail"]
    for path in (f"/api/v1/events/{'f' * 32}", f"/api/v1/events/{'f' * 32}/content"):
        assert "f" * 32 in assert_problem(server.client.get(path), 404)["detail"]


@pytest.mark.parametrize("altered", [b"int main(void) {0}", b"int main(void) {", b"int main(void) ()"])
def test_content_that_was_changed_behind_our_back_is_not_passed_off_as_the_students(
    server: Server, altered: bytes
) -> None:
    event = _with_content(server, b"int main(void) {}")
    (server.snapshot_root / event["snapshot_path"]).write_bytes(altered)
    problem = assert_problem(server.client.get(f"/api/v1/events/{event['id']}/content"), 409)
    assert problem["detail"].startswith("snapshot altered")


def test_a_volume_that_is_gone_is_a_503_and_nothing_else_suffers(server: Server) -> None:
    event = _with_content(server, b"x")
    server.snapshot_root.rename(server.directory / "unmounted")
    answer = server.client.get(f"/api/v1/events/{event['id']}/content")
    assert_problem(answer, 503)
    assert answer.headers["retry-after"]
    assert server.get("/readyz") == {"status": "ok"}


def _with_content(server: Server, content: bytes) -> dict[str, Any]:
    event = samples.snapshot(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    path = server.snapshot_root / event["snapshot_path"]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert deliver(server, event)[0]["status"] == "stored"
    return event
