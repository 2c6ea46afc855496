"""The models accept exactly what the wire contract's JSON schema accepts."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from unit.backend import samples
from watcher_backend.batch import Rejected, read_batch
from watcher_backend.storage.records import EventRecord, ProcessRecord

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/wire/event-v1.schema.json").read_text())

# Values of every kind, put in the place of every field: wrong types, limits and what lies beside them,
# lookalikes (true for 1, "5" for 5), line ends after a match, other scripts' digits.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 5.0, 5.5, -0.0, 1e30, "", "5", "x", "x\n", "a/b", "a//b", "/a", "a/", "..",
    "a\tb",
    "\u007f", "한글", "\U0001f600" * 255, "\U0001f600" * 256, "x" * 64, "x" * 65, "x" * 255, "x" * 256, "x" * 1024,
    "x" * 1025, "x" * 8192, "x" * 8193, "os-1", "os-1\n", "os_1", "os-1-1", "-1", "hw1", ".hw1", "hw1\n", "hw 1",
    "0" * 32, "0" * 31, "A" * 32, "0" * 32 + "\n", "f" * 64, "f" * 63, samples.BOOT_ID, samples.BOOT_ID.upper(),
    "2025-07-30T06:17:53.417000Z", "2025-07-30T06:17:53.417000Z\n", "2025-07-30T06:17:53Z",
    "2025-07-30 06:17:53.417000Z",
    "٢٠٢٥-07-30T06:17:53.417000Z", "snapshot", "build", "run", "created", "deleted", "too_large", "spool_full",
    "gap", "probe_loss", "gcc", "g++",
    "g++ ",
    [], ["a"], ["a", 1], [None], [["a"]], ["x"] * 16384, ["x"] * 16385, {}, {"a": 1}, 127, 128, 255, 256, 4194304,
    4194305, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**400,
]  # fmt: skip


def _ecma_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The contract's patterns are ECMAScript's, where $ matches at the very end only."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_extended: Any = extend  # has no types
CONTRACT = _extended(Draft202012Validator, {"pattern": _ecma_pattern})(SCHEMA)


def _accepted(event: Any) -> bool:
    body = json.dumps(samples.batch(event)).encode()
    [result] = read_batch(body, received_at=0).events
    return not isinstance(result, Rejected)


def _beyond_the_schema(event: Any) -> bool:
    """Whether the event is one of those that only the models refuse, as their documentation says."""
    if isinstance(event, dict) and event.get("type") == "gap":
        begins, ends = event.get("started_at"), event.get("occurred_at")
        return (event.get("class_div") is None) != (event.get("student_id") is None) or (
            isinstance(begins, str) and isinstance(ends, str) and begins > ends
        )
    return isinstance(event, dict) and (
        any(component in (".", "..") for component in str(event.get("snapshot_path")).split("/"))
        or event.get("filename") in (".", "..")
    )


def _gap_of_a_student(**changes: Any) -> dict[str, Any]:
    return samples.gap(**{"class_div": "os-1", "student_id": 202012180, "events_lost": 2, **changes})


def _mutations(seed: int) -> Iterator[Any]:
    chance = random.Random(seed)
    for make in (samples.snapshot, samples.process, samples.gap, _gap_of_a_student):
        for field in make():
            yield {name: value for name, value in make().items() if name != field}
            for value in VALUES:
                yield make(**{field: value})
        for value in VALUES:
            yield make(surplus=value)
        for _ in range(500):
            fields = chance.sample(sorted(make()), chance.randint(2, 4))
            yield make(**{field: chance.choice(VALUES) for field in fields})
    yield from VALUES


@pytest.mark.parametrize("seed", [1, 2])
def test_the_models_accept_what_the_schema_accepts(seed: int) -> None:
    accepted = rejected = 0
    for event in _mutations(seed):
        if _beyond_the_schema(event):
            assert not _accepted(event)
            continue
        valid = CONTRACT.is_valid(event)
        assert _accepted(event) is valid, f"schema {'accepts' if valid else 'rejects'} {str(event)[:500]}"
        accepted, rejected = accepted + valid, rejected + (not valid)
    # A corpus that holds only one kind would prove nothing.
    assert accepted > 400
    assert rejected > 2000


def test_numbers_written_otherwise_are_the_same_numbers() -> None:
    """JSON knows no difference between 5, 5.0 and 50e-1; the stored event has none either."""
    event = json.dumps(samples.batch(samples.snapshot(size=5)))
    for written in ("5.0", "50e-1"):
        [record] = read_batch(event.replace('"size": 5', f'"size": {written}').encode(), 0).events
        assert not isinstance(record, Rejected)
        assert repr(record.detail).count("size=5,") == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"occurred_at": "2025-13-45T00:00:00.000000Z"}, "occurred_at"),
        ({"occurred_at": "1969-12-31T23:59:59.000000Z"}, "occurred_at"),
        ({"snapshot_path": "a/../b"}, "snapshot_path"),
        ({"snapshot_path": "a/./b"}, "snapshot_path"),
        ({"filename": ".."}, "filename"),
        ({"filename": "a@..@b.c"}, "filename"),
        ({"filename": "\ud800"}, "filename"),
    ],
)
def test_what_no_node_can_have_sent_is_rejected_though_the_schema_allows_it(
    changes: dict[str, Any], field: str
) -> None:
    [result] = read_batch(json.dumps(samples.batch(samples.snapshot(**changes))).encode(), 0).events
    assert isinstance(result, Rejected)
    assert result.problem.startswith(f"{field}: ")


@pytest.mark.parametrize(
    "changes", [{"cwd": "/a\0b"}, {"argv": ["a\0"]}, {"hostname": "\0"}, {"argv": ["\ud800"]}]
)
def test_text_that_no_process_can_have_is_rejected(changes: dict[str, Any]) -> None:
    [result] = read_batch(json.dumps(samples.batch(samples.process(**changes))).encode(), 0).events
    assert isinstance(result, Rejected)
    assert result.problem.startswith(next(iter(changes)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_div": "os-1"}, "student_id: expected both class_div and student_id, or null for both (got null)"),
        ({"student_id": 7}, "student_id: expected both class_div and student_id, or null for both (got 7)"),
        (
            {"started_at": "2025-07-30T06:20:00.000001Z"},
            "started_at: expected no later than occurred_at, 2025-07-30T06:20:00.000000Z"
            " (got 2025-07-30T06:20:00.000001Z)",
        ),
        # What is wrong already is not said again of what depends on it.
        (
            {"occurred_at": "x"},
            "occurred_at: expected UTC with microseconds, like 2025-07-30T06:17:53.417000Z (got x)",
        ),
        ({"class_div": 5, "student_id": 7}, "class_div: Input should be a valid string (got 5)"),
    ],
)  # fmt: skip
def test_a_gap_concerns_a_whole_student_and_ends_no_earlier_than_it_begins(
    changes: dict[str, Any], said: str
) -> None:
    [result] = read_batch(json.dumps(samples.batch(samples.gap(**changes))).encode(), 0).events
    assert isinstance(result, Rejected)
    assert (result.type, result.problem) == ("gap", said)


@pytest.mark.parametrize("began", ["2025-07-30T06:20:00.000000Z", None])
def test_a_gap_may_be_a_moment_or_of_unknown_beginning(began: str | None) -> None:
    assert _accepted(samples.gap(started_at=began))


def test_a_process_event_without_the_flag_has_a_hostname_of_its_own() -> None:
    event = samples.process()
    del event["hostname_forged"]
    absent, forged = read_batch(
        json.dumps(samples.batch(event, samples.process(hostname_forged=True))).encode(), 0
    ).events
    assert isinstance(absent, EventRecord)
    assert isinstance(forged, EventRecord)
    assert isinstance(absent.detail, ProcessRecord)
    assert isinstance(forged.detail, ProcessRecord)
    assert (absent.detail.hostname_forged, forged.detail.hostname_forged) == (False, True)


@pytest.mark.parametrize("year", ["1970", "1999", "2099", "9999"])
def test_a_node_with_a_wrong_clock_loses_nothing(year: str) -> None:
    assert _accepted(samples.snapshot(occurred_at=f"{year}-01-01T00:00:00.000000Z"))
