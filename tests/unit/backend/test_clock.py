"""Time: what is read, what is refused, and what comes out again."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from watcher_backend import clock

SEOUL = ZoneInfo("Asia/Seoul")


def test_an_instant_comes_out_as_it_went_in() -> None:
    for text in ("1970-01-01T00:00:00.000000Z", "2025-07-30T06:17:53.417001Z", "9999-12-31T23:59:59.999999Z"):
        assert clock.format_instant(clock.parse_instant(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "2025-13-45T00:00:00.000000Z",
        "2025-02-29T00:00:00.000000Z",
        "2025-07-30T24:00:00.000000Z",
        "2025-07-30T06:17:60.000000Z",
        "1969-12-31T23:59:59.999999Z",
        "0000-01-01T00:00:00.000000Z",
        "2025-07-30T06:17:53.417Z",
        "2025-07-30T06:17:53.417000+00:00",
        "2025-07-30T06:17:53.417000Z\n",
        "٢٠٢٥-07-30T06:17:53.417000Z",
        "",
    ],
)
def test_an_impossible_or_foreign_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no such date"):
        clock.parse_instant(text)


@pytest.mark.parametrize("text", ["20250730_061753", "20250730_061753.c", "20250730_061753.417.c"])
def test_a_snapshot_name_gives_its_utc_second_whatever_follows_the_dot(text: str) -> None:
    assert clock.format_instant(clock.parse_compact(text)) == "2025-07-30T06:17:53.000000Z"


@pytest.mark.parametrize(
    "text", ["20251345_000000", "20250730-061753", "2025073_061753", ".c", "20250730_0617533"]
)
def test_an_impossible_snapshot_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no such date"):
        clock.parse_compact(text)


def test_naive_time_is_local_and_aware_time_is_honoured() -> None:
    naive = clock.to_micros(datetime(2025, 7, 30, 15, 17, 53), SEOUL)
    aware = clock.to_micros(datetime(2025, 7, 30, 1, 17, 53, tzinfo=timezone(timedelta(hours=-5))), SEOUL)
    assert clock.format_instant(naive) == clock.format_instant(aware) == "2025-07-30T06:17:53.000000Z"


def test_local_answers_are_in_the_sites_zone() -> None:
    micros = clock.parse_instant("2025-07-30T18:17:53.500000Z")
    assert clock.format_compact_local(micros, SEOUL) == "20250731_031753"
    assert clock.format_naive_local(micros, SEOUL) == "2025-07-31T03:17:53.500000"


def test_a_moment_that_leaves_the_calendar_is_refused() -> None:
    west = timezone(timedelta(hours=-12))
    with pytest.raises(ValueError, match="calendar"):
        clock.to_micros(datetime(9999, 12, 31, 23, 0, tzinfo=west), SEOUL)


def test_the_last_day_of_the_calendar_can_be_answered_east_of_greenwich() -> None:
    micros = clock.parse_instant("9999-12-31T23:59:59.999999Z")
    assert clock.format_compact_local(micros, SEOUL) == "99991231_235959"
