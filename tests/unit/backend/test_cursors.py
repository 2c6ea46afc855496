"""Cursors of the lists."""

import pytest

from watcher_backend.cursors import CursorOf, decode_cursor, encode_cursor


@pytest.mark.parametrize("row", [0, 1, 10_000_000, 2**63 - 1])
@pytest.mark.parametrize("of", CursorOf)
def test_a_cursor_stands_where_it_was_made(row: int, of: CursorOf) -> None:
    assert decode_cursor(of, encode_cursor(of, row)) == row


def test_a_cursor_of_one_list_is_refused_by_another() -> None:
    with pytest.raises(ValueError, match="of this list"):
        decode_cursor(CursorOf.GAPS, encode_cursor(CursorOf.EVENTS, 5))
    with pytest.raises(ValueError, match="of this list"):
        decode_cursor(CursorOf.EVENTS, encode_cursor(CursorOf.GAPS, 5))


@pytest.mark.parametrize(
    "text", ["", "1", "zz", "AQAAAAAAAAAC=", "AQ==", "é", "_" * 12, "AwAAAAAAAAAC", "AQ\nAAAAAAAAC"]
)
def test_what_was_never_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="next"):
        decode_cursor(CursorOf.EVENTS, text)
