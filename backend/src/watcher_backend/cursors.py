"""Opaque cursors: where a reader of a list stands."""

import base64
import binascii
import struct
from enum import IntEnum

_LAYOUT = struct.Struct(">BQ")
_MAX_ROW = 2**63 - 1


class CursorOf(IntEnum):
    """The list that a cursor belongs to; in another it would stand anywhere."""

    EVENTS = 1
    GAPS = 2


def encode_cursor(of: CursorOf, row: int) -> str:
    """Return the cursor that stands after a row of a list."""
    return base64.urlsafe_b64encode(_LAYOUT.pack(of, row)).decode("ascii")


def decode_cursor(of: CursorOf, text: str) -> int:
    """Return the row that a cursor stands after. Raises ValueError for what `encode_cursor` never made of it."""
    try:
        found, row = _LAYOUT.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        found = row = -1
    if found != of or row > _MAX_ROW or text != encode_cursor(of, row):
        raise ValueError('expected the "next" of an earlier answer of this list')
    return int(row)
