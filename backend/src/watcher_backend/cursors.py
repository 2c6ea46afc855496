"""Opaque cursors: where a reader of the event list stands."""

import base64
import binascii
import struct

_LAYOUT = struct.Struct(">BQ")
_VERSION = 1
_MAX_ROW = 2**63 - 1


def encode_cursor(row: int) -> str:
    """Return the cursor that stands after an event's row."""
    return base64.urlsafe_b64encode(_LAYOUT.pack(_VERSION, row)).decode("ascii")


def decode_cursor(text: str) -> int:
    """Return the row that a cursor stands after. Raises ValueError for what `encode_cursor` never made."""
    try:
        version, row = _LAYOUT.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        version = row = -1
    if version != _VERSION or row > _MAX_ROW or text != encode_cursor(row):
        raise ValueError('expected the "next" of an earlier answer')
    return int(row)
