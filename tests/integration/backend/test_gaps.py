"""What agents declare lost, read again."""

import re
from typing import Any

import pytest

from integration.backend.server import Server, assert_problem
from unit.backend import samples


def deliver(server: Server, *gaps: dict[str, Any], agent: str = "filemon", node: str = "worker-1") -> list[str]:
    batch = {**samples.batch(*gaps), "agent": {"name": agent, "node": node, "release": "0.1.0"}}
    return [result["status"] for result in server.post("/api/v1/events", batch)["results"]]


def of_student(student_id: int = 7, class_div: str = "os-1", **changes: Any) -> dict[str, Any]:
    return samples.gap(class_div=class_div, student_id=student_id, **changes)


@pytest.mark.parametrize(
    "gap",
    [
        samples.gap(),
        samples.gap(started_at=None, files_seen=None, files_recovered=None, detail=None, cause="agent_stopped"),
        of_student(cause="saves_overtaken", events_lost=2**63 - 1, detail="한글 \U0001f600"),
    ],
    ids=lambda gap: str(gap["cause"]),
)
def test_every_field_that_an_agent_sends_comes_back(server: Server, gap: dict[str, Any]) -> None:
    assert deliver(server, gap) == ["stored"]
    for answered in (server.get("/api/v1/gaps")["gaps"][0], server.get(f"/api/v1/gaps/{gap['id']}")):
        assert {name: answered[name] for name in gap} == gap
        surplus = {name: answered[name] for name in answered if name not in gap}
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", surplus.pop("received_at"))
        assert surplus == {"agent": "filemon", "node": "worker-1", "release": "0.1.0"}


def test_a_gap_is_stored_once_beside_events_and_is_none_of_them(server: Server) -> None:
    gap, event, wrong = samples.gap(), samples.snapshot(), samples.gap(started_at="2999-01-01T00:00:00.000000Z")
    assert deliver(server, gap, event, wrong, gap) == ["stored", "stored", "rejected", "duplicate"]
    assert deliver(server, event, gap) == ["duplicate", "duplicate"]
    assert [found["id"] for found in server.get("/api/v1/gaps")["gaps"]] == [gap["id"]]
    assert [found["id"] for found in server.get("/api/v1/events")["events"]] == [event["id"]]
    for outcome, number in (("stored", 1), ("duplicate", 2), ("rejected", 1)):
        assert server.metric("watcher_ingest_events_total", type="gap", outcome=outcome) == number


def test_a_gap_outlives_the_backend(server: Server) -> None:
    gap = samples.gap()
    assert deliver(server, gap) == ["stored"]
    server.kill()
    with Server(server.directory, address=server.address) as again:
        assert again.get(f"/api/v1/gaps/{gap['id']}")["cause"] == gap["cause"]
        assert deliver(again, gap) == ["duplicate"]


def test_an_unknown_gap_is_not_found_and_an_event_is_none(server: Server) -> None:
    event, gap = samples.snapshot(), samples.gap()
    deliver(server, event, gap)
    for path in (f"/api/v1/gaps/{'f' * 32}", f"/api/v1/gaps/{event['id']}", f"/api/v1/events/{gap['id']}"):
        assert path[-32:] in assert_problem(server.client.get(path), 404)["detail"]


def test_a_client_that_follows_sees_everything_once_and_in_order(server: Server) -> None:
    cursor = server.get("/api/v1/gaps")["next"]
    sent: list[str] = []
    seen: list[str] = []
    for size in (1, 5, 0, 12):
        gaps = [samples.gap() for _ in range(size)]
        sent += [gap["id"] for gap in gaps]
        if gaps:
            deliver(server, *gaps, samples.snapshot())
        page = server.get("/api/v1/gaps", after=cursor, limit=5)
        while page["gaps"]:
            seen += [gap["id"] for gap in page["gaps"]]
            page = server.get("/api/v1/gaps", after=page["next"], limit=5)
        cursor = page["next"]
    assert seen == sent


def test_a_cursor_of_the_events_is_refused(server: Server) -> None:
    for path, other in (("/api/v1/gaps", "/api/v1/events"), ("/api/v1/events", "/api/v1/gaps")):
        problem = assert_problem(server.client.get(path, params={"after": server.get(other)["next"]}), 422)
        assert "of this list" in problem["detail"]


def test_filters_narrow_the_list(server: Server) -> None:
    gaps = {
        "stopped": samples.gap(cause="agent_stopped"),
        "seven": of_student(7, cause="saves_overtaken"),
        "seven elsewhere": of_student(7, "db-2"),
        "eight": of_student(8),
        "probe": samples.gap(cause="probe_loss"),
    }
    names = {gap["id"]: name for name, gap in gaps.items()}
    deliver(server, gaps["stopped"], gaps["seven"], gaps["seven elsewhere"])
    deliver(server, gaps["eight"], node="worker-2")
    deliver(server, gaps["probe"], agent="procmon", node="worker-2")

    def found(**wanted: Any) -> list[str]:
        return [names[gap["id"]] for gap in server.get("/api/v1/gaps", **wanted)["gaps"]]

    assert found() == list(gaps)
    assert found(node="worker-2") == ["eight", "probe"]
    assert found(node="worker-2", agent="procmon") == ["probe"]
    assert found(agent="filemon") == ["stopped", "seven", "seven elsewhere", "eight"]
    assert found(cause="saves_overtaken") == ["seven"]
    assert found(class_div="os-1") == ["seven", "eight"]
    assert found(student_id=7) == ["seven", "seven elsewhere"]
    assert found(class_div="os-1", student_id=7) == ["seven"]
    assert found(node_wide="true") == ["stopped", "probe"]
    assert found(node_wide="false") == ["seven", "seven elsewhere", "eight"]
    assert found(class_div="os-1", student_id=7, concerning_student="true") == ["stopped", "seven", "probe"]
    assert found(student_id=8, concerning_student="true", node="worker-2") == ["eight", "probe"]
    assert found(student_id=9) == []


def test_an_interval_finds_what_overlaps_it(server: Server) -> None:
    known, unknown = samples.gap(), samples.gap(started_at=None)  # from 06:17:00 and to 06:20:00 the one
    deliver(server, known, unknown)

    def found(**wanted: str) -> list[str]:
        times = {name: f"2025-07-30T{time}.000000Z" for name, time in wanted.items()}
        return [gap["id"] for gap in server.get("/api/v1/gaps", **times)["gaps"]]

    both = [known["id"], unknown["id"]]
    assert found(**{"from": "06:18:00", "to": "06:19:00"}) == both
    assert found(**{"from": "06:20:00"}) == both
    assert found(**{"from": "06:20:01"}) == []
    assert found(to="06:17:00") == both
    assert found(to="06:16:59") == [unknown["id"]]


def test_each_gap_is_told_in_the_log_once_and_a_flood_of_them_is_bounded(server: Server) -> None:
    gap = of_student(7, events_lost=2, cause="saves_overtaken")
    deliver(server, gap)
    deliver(server, gap)
    lines = [line for line in server.log().splitlines() if line.startswith("WARNING: gap")]
    assert lines == [
        f"WARNING: gap id={gap['id']} agent=filemon node=worker-1 class=os-1 student=7 type=gap"
        " cause=saves_overtaken from=2025-07-30T06:17:00.000000Z to=2025-07-30T06:20:00.000000Z lost=2"
    ]
    deliver(server, samples.gap(), node="n\u2028WARNING: forged")
    assert not any(line.startswith("WARNING: forged") for line in server.log().splitlines())
    deliver(server, samples.snapshot(), *[samples.gap(started_at=None) for _ in range(100)], node="worker-2")
    lines = [line for line in server.log().splitlines() if line.startswith("WARNING") and "worker-2" in line]
    assert len(lines) == 6
    assert "from=unknown" in lines[0]
    assert "lost=unknown" in lines[0]
    assert lines[5] == "WARNING: 95 more gaps in the same batch from node=worker-2"
