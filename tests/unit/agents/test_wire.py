"""Ids and instants on the wire."""

from datetime import datetime, timedelta, timezone

from watcher_agents import wire


def test_the_same_happening_has_the_same_id_and_any_difference_another() -> None:
    one = wire.event_id("snapshot", "os-1-202012180", b"hw1/a.c", 1)
    assert one == wire.event_id("snapshot", "os-1-202012180", b"hw1/a.c", 1)
    others = {
        wire.event_id("snapshot", "os-1-202012180", b"hw1/a.c", 2),
        wire.event_id("snapshot", "os-1-202012180", b"hw1/a.c", "1"),
        wire.event_id("snapshot", "os-1-202012180hw1/a.c", b"", 1),
        wire.event_id("snapshot", "os-1-202012180", b"hw1/", "a.c", 1),
    }
    assert one not in others
    assert len(others) == 4


def test_an_instant_is_utc_with_microseconds_cut_off_not_rounded_up() -> None:
    assert wire.instant(1_753_856_273_999_999_999) == "2025-07-30T06:17:53.999999Z"
    assert wire.instant(0) == "1970-01-01T00:00:00.000000Z"
    seoul = timezone(timedelta(hours=9))
    assert wire.format_instant(datetime(2025, 7, 30, 15, 17, 53, tzinfo=seoul)) == "2025-07-30T06:17:53.000000Z"
