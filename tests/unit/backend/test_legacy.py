"""The old posts: what becomes of them."""

from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from unit.backend.samples import WORK
from watcher_backend.clock import format_instant
from watcher_backend.legacy import BuildPost, RunPost, SnapshotPost, process_record, snapshot_record
from watcher_backend.problems import ProblemError
from watcher_backend.storage.records import ProcessRecord, VersionRecord

SEOUL = ZoneInfo("Asia/Seoul")
HOOK = (
    '{"timestamp": "2025-10-22T20:31:55.613932", "exit_code": 0, "cmdline": "<unknown>",'
    ' "cwd": "/home/coder/project/hw1", "target_path": "ipykernel", "process_type": "python", "more": [1]}'
)


def test_the_notebook_hooks_naive_time_is_the_sites_local_time() -> None:
    record = process_record("run", WORK, RunPost.model_validate_json(HOOK), SEOUL, 0)
    assert format_instant(record.occurred_at) == "2025-10-22T11:31:55.613932Z"
    assert isinstance(record.detail, ProcessRecord)
    assert (record.detail.cmdline, record.detail.argv, record.detail.binary_path) == ("<unknown>", None, "")


@pytest.mark.parametrize(
    ("timestamp", "utc"),
    [
        ("2025-07-30T06:17:53Z", "2025-07-30T06:17:53.000000Z"),
        ("2025-07-30T06:17:53.417+00:00", "2025-07-30T06:17:53.417000Z"),
        ("2025-07-30T15:17:53+09:00", "2025-07-30T06:17:53.000000Z"),
        ("2025-07-30 15:17:53", "2025-07-30T06:17:53.000000Z"),
    ],
)
def test_an_offset_is_honoured(timestamp: str, utc: str) -> None:
    post = RunPost.model_validate_json(HOOK.replace("2025-10-22T20:31:55.613932", timestamp))
    assert format_instant(process_record("run", WORK, post, SEOUL, 0).occurred_at) == utc


@pytest.mark.parametrize(
    "timestamp",
    [
        '"2025-13-45T00:00:00"',
        '"2025-07-30"',
        '"1753856273"',
        "1753856273",
        "null",
        '"now"',
        '"2025-07-30T25:00:00"',
        "[]",
    ],
)
def test_an_impossible_time_is_refused(timestamp: str) -> None:
    with pytest.raises(ValidationError):
        RunPost.model_validate_json(HOOK.replace('"2025-10-22T20:31:55.613932"', timestamp))


@pytest.mark.parametrize("timestamp", ["1969-12-31T00:00:00Z", "9999-12-31T23:59:59-12:00"])
def test_a_time_outside_what_can_be_stored_is_refused(timestamp: str) -> None:
    post = RunPost.model_validate_json(HOOK.replace("2025-10-22T20:31:55.613932", timestamp))
    with pytest.raises(ProblemError) as raised:
        process_record("run", WORK, post, SEOUL, 0)
    assert raised.value.status == 422


def test_zero_bytes_is_a_deletion_and_more_is_left_to_the_store() -> None:
    deleted = snapshot_record(WORK, "a.c", "20250730_061753.c", SnapshotPost.model_validate({"bytes": 0}), 0)
    saved = snapshot_record(WORK, "a.c", "20250730_061753.c", SnapshotPost.model_validate({"bytes": 1}), 0)
    assert deleted.detail == VersionRecord("a.c", "deleted", 0)
    assert saved.detail == VersionRecord("a.c", None, 1)


def test_a_repeat_has_the_same_id_and_anything_else_another() -> None:
    post = SnapshotPost.model_validate({"bytes": 12})
    other = SnapshotPost.model_validate({"bytes": 13})
    ids = [
        snapshot_record(WORK, "a.c", "20250730_061753.c", post, 0).event_id,
        snapshot_record(WORK, "b.c", "20250730_061753.c", post, 0).event_id,
        snapshot_record(WORK, "a.c", "20250730_061754.c", post, 0).event_id,
        snapshot_record(WORK, "a.c", "20250730_061753.c", other, 0).event_id,
        snapshot_record(WORK._replace(student_id=1), "a.c", "20250730_061753.c", post, 0).event_id,
        process_record("run", WORK, RunPost.model_validate_json(HOOK), SEOUL, 0).event_id,
        process_record("run", WORK, RunPost.model_validate_json(HOOK.replace("0,", "1,")), SEOUL, 0).event_id,
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(event_id) == 16 for event_id in ids)
    assert snapshot_record(WORK, "a.c", "20250730_061753.c", post, 99).event_id == ids[0]


def test_a_build_and_a_run_of_the_same_fields_are_two_events() -> None:
    fields = HOOK.replace('"exit_code"', '"binary_path": "/usr/bin/gcc", "exit_code"')
    build = process_record("build", WORK, BuildPost.model_validate_json(fields), SEOUL, 0)
    run = process_record("run", WORK, RunPost.model_validate_json(fields), SEOUL, 0)
    assert build.event_id != run.event_id


@pytest.mark.parametrize(
    "body",
    [
        '{"bytes": "5"}',
        '{"bytes": true}',
        '{"bytes": 5.5}',
        '{"bytes": -1}',
        '{"bytes": 9223372036854775808}',
        "{}",
        "[]",
        '{"bytes": NaN}',
        '{"bytes": null}',
    ],
)
def test_a_size_that_is_no_size_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        SnapshotPost.model_validate_json(body)
