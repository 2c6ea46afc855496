"""Reading batches: the good events of a bad batch, and what is said of the bad ones."""

import json
from typing import Any

import pytest

from unit.backend import samples
from watcher_backend.batch import Rejected, read_batch
from watcher_backend.problems import ProblemError
from watcher_backend.storage.records import (
    EventRecord,
    GapRecord,
    OriginKey,
    ProcessRecord,
    Record,
    VersionRecord,
    WorkKey,
)


def read(body: Any) -> list[Record | Rejected]:
    return read_batch(json.dumps(body).encode(), received_at=7).events


def test_a_snapshot_event_is_read_whole() -> None:
    event = samples.snapshot(id="00112233445566778899aabbccddeeff", sequence=9)
    assert read(samples.batch(event)) == [
        EventRecord(
            event_id=bytes.fromhex("00112233445566778899aabbccddeeff"),
            type="snapshot",
            work=WorkKey("os-1", "hw1", 202012180),
            occurred_at=1753856273417000,
            received_at=7,
            origin=OriginKey("filemon", "worker-1", "0.1.0", samples.BOOT_ID),
            sequence=9,
            detail=VersionRecord(
                filename="src@hello.c",
                change="modified",
                size=6,
                sha256=bytes.fromhex("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
                snapshot_path="os-1-202012180/hw1/src@hello.c/20250730_061753.417.c",
            ),
        )
    ]


def test_a_process_event_is_read_whole() -> None:
    [record] = read(samples.batch(samples.process(exit_code=None, signal=11, core_dumped=True)))
    assert isinstance(record, EventRecord)
    assert record.detail == ProcessRecord(
        hostname="jcode-os-1-202012180-866cbc896c-lrx9d",
        pid=4711,
        started_at=1753856279900000,
        process_type="gcc",
        binary_path="/usr/bin/gcc",
        argv='["gcc","my file.c","-o","a.out"]',
        cmdline=None,
        argv_truncated=False,
        cwd="/home/coder/project/hw1",
        target_path="/home/coder/project/hw1/my file.c",
        exit_code=None,
        signal=11,
        core_dumped=True,
    )


def test_a_gap_is_read_whole() -> None:
    event = samples.gap(
        id="00112233445566778899aabbccddeeff", sequence=9, class_div="os-1", student_id=7, events_lost=2
    )
    assert read(samples.batch(event)) == [
        GapRecord(
            event_id=bytes.fromhex("00112233445566778899aabbccddeeff"),
            class_div="os-1",
            student_id=7,
            started_at=1753856220000000,
            occurred_at=1753856400000000,
            received_at=7,
            origin=OriginKey("filemon", "worker-1", "0.1.0", samples.BOOT_ID),
            sequence=9,
            cause="queue_overflow",
            files_seen=120,
            files_recovered=3,
            events_lost=2,
            detail="the kernel's queue of 16384 events ran over",
        )
    ]


def test_an_invalid_event_is_rejected_by_itself_and_in_its_place() -> None:
    good, bad = samples.snapshot(), samples.snapshot(size="5")
    first, second, third = read(samples.batch(good, bad, samples.process()))
    assert isinstance(first, EventRecord)
    assert isinstance(third, EventRecord)
    assert second == Rejected(bad["id"], "snapshot", "size: Input should be a valid integer (got 5)")


@pytest.mark.parametrize(
    ("value", "event_id", "event_type"),
    [
        (None, None, "unknown"),
        ([], None, "unknown"),
        ({"id": "A" * 32, "type": ["x"]}, None, "unknown"),
        ({"id": "a" * 32, "type": "run"}, "a" * 32, "run"),
        ({"id": "a" * 32, "type": "gap"}, "a" * 32, "gap"),
    ],
)
def test_a_rejected_event_is_named_as_far_as_it_can_be(value: Any, event_id: str | None, event_type: str) -> None:
    [result] = read(samples.batch(value))
    assert isinstance(result, Rejected)
    assert (result.id, result.type) == (event_id, event_type)


@pytest.mark.parametrize("value", ["\ud800", "a\nb\0" * 1000, [[]] * 1000])
def test_what_is_said_of_a_hostile_value_is_short_and_printable(value: Any) -> None:
    [result] = read(samples.batch(samples.snapshot(boot_id=value)))
    assert isinstance(result, Rejected)
    assert result.problem.isprintable()
    assert len(result.problem) < 600


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e999", "NaN", "-Infinity"])
def test_an_absurd_number_spoils_only_its_own_event(number: str) -> None:
    body = json.dumps(samples.batch(samples.snapshot(size=123454321), samples.snapshot()))
    first, second = read_batch(body.replace("123454321", number).encode(), 0).events
    assert isinstance(first, Rejected)
    assert isinstance(second, EventRecord)


def test_a_deeply_nested_value_spoils_only_its_own_event() -> None:
    body = json.dumps(samples.batch(samples.snapshot(size=123454321), samples.snapshot()))
    nested = "[" * 300 + "]" * 300
    first, second = read_batch(body.replace("123454321", nested).encode(), 0).events
    assert isinstance(first, Rejected)
    assert isinstance(second, EventRecord)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8: byte 0"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[]", "body"),
        (b'{"schema": 1}', "agent"),
        (json.dumps({**samples.batch(samples.snapshot()), "schema": 2}).encode(), "schema"),
        (json.dumps({**samples.batch(samples.snapshot()), "schema": True}).encode(), "schema"),
        (json.dumps({**samples.batch(samples.snapshot()), "extra": 1}).encode(), "extra"),
        (json.dumps({**samples.batch(samples.snapshot()), "agent": {"name": "x"}}).encode(), "agent.name"),
        (json.dumps(samples.batch()).encode(), "events"),
        (json.dumps(samples.batch(*[1] * 1001)).encode(), "events"),
        (json.dumps({**samples.batch(), "events": {}}).encode(), "events"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_with_what_is_wrong(body: bytes, said: str) -> None:
    with pytest.raises(ProblemError) as raised:
        read_batch(body, 0)
    assert raised.value.status == 422
    assert said in raised.value.detail
