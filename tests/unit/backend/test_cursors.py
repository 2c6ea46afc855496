"""Cursors of the event list."""

import pytest

from watcher_backend.cursors import decode_cursor, encode_cursor


@pytest.mark.parametrize("row", [0, 1, 10_000_000, 2**63 - 1])
def test_a_cursor_stands_where_it_was_made(row: int) -> None:
    assert decode_cursor(encode_cursor(row)) == row


@pytest.mark.parametrize(
    "text", ["", "1", "zz", "AQAAAAAAAAAC=", "AQ==", "é", "_" * 12, "AgAAAAAAAAAC", "AQ\nAAAAAAAAC"]
)
def test_what_was_never_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="next"):
        decode_cursor(text)
