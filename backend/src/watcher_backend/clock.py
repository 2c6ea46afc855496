"""Conversions between wire, stored and local time.

Stored time is an integer: microseconds since 1970-01-01T00:00:00 UTC. Everything that leaves or enters the
program as text is converted here and nowhere else.
"""

import re
import time
from datetime import datetime, timedelta, timezone, tzinfo

MICROS_A_SECOND = 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_TOO_EARLY = "expected a date from 1970 on"
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})_([0-9]{2})([0-9]{2})([0-9]{2})")


def now_micros() -> int:
    """Return the present moment in microseconds since the epoch."""
    return time.time_ns() // 1000


def whole_second(micros: int) -> int:
    """Return the begin of the second that a stored time lies in; the old endpoints know no fractions."""
    return micros // MICROS_A_SECOND * MICROS_A_SECOND


def parse_instant(text: str) -> int:
    """Read a wire instant such as ``2025-07-30T06:17:53.417000Z`` into microseconds since the epoch.

    Raises ValueError, saying what would be right, for another notation, a date that the calendar does not
    have and a date before 1970.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError("expected UTC with microseconds, like 2025-07-30T06:17:53.417000Z")
    try:
        since_epoch = datetime.fromisoformat(text[:-1]) - _NAIVE_EPOCH
    except ValueError:
        raise ValueError("no such date or time of day") from None
    if since_epoch.days < 0:
        raise ValueError(_TOO_EARLY)
    # Not //: a batch has two thousand of these.
    return (since_epoch.days * 86_400 + since_epoch.seconds) * MICROS_A_SECOND + since_epoch.microseconds


def format_instant(micros: int) -> str:
    """Return the wire notation (RFC 3339, UTC, six decimals) of a stored time."""
    return _to_datetime(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_compact(text: str) -> int:
    """Read a snapshot name's UTC timestamp ``YYYYmmdd_HHMMSS`` into microseconds since the epoch.

    Anything after the first ``.`` is ignored: agents post the snapshot's file name (``20250730_061753.c``).
    Raises ValueError, saying what would be right.
    """
    parts = _COMPACT.fullmatch(text.partition(".")[0])
    if parts is None:
        raise ValueError("expected YYYYmmdd_HHMMSS, like 20250730_061753")
    try:
        year, month, day, hour, minute, second = map(int, parts.groups())
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        raise ValueError("no such date or time of day") from None
    return to_micros(moment, timezone.utc)


def to_micros(moment: datetime, naive_zone: tzinfo) -> int:
    """Convert to microseconds since the epoch; a naive moment is local time in ``naive_zone``.

    Raises ValueError for a moment before 1970 (no clock that an agent reads can show one) and for one that
    leaves the calendar when converted to UTC.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=naive_zone)
    try:
        micros = (moment - _EPOCH) // _MICROSECOND
        _to_datetime(micros)
    except OverflowError:
        raise ValueError("date is outside the calendar") from None
    if micros < 0:
        raise ValueError(_TOO_EARLY)
    return micros


def format_compact_local(micros: int, zone: tzinfo) -> str:
    """Return ``YYYYmmdd_HHMMSS`` in ``zone``."""
    return _to_local(micros, zone).strftime("%Y%m%d_%H%M%S")


def format_naive_local(micros: int, zone: tzinfo) -> str:
    """Return ISO 8601 local time in ``zone`` without an offset, as the old log endpoints answer."""
    return _to_local(micros, zone).replace(tzinfo=None).isoformat()


def _to_datetime(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _to_local(micros: int, zone: tzinfo) -> datetime:
    try:
        return _to_datetime(micros).astimezone(zone)
    except OverflowError:
        # A node's clock may say the last day of the year 9999, which east of Greenwich is no date any more.
        return datetime.max.replace(tzinfo=zone)
