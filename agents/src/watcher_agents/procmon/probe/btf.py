"""Where the members of the running kernel's structures lie, read from its type information (BTF).

The form is that of the kernel's Documentation/bpf/btf.rst: a header, a section of types that follow each
other without an index (a type's id is its position, from 1), and a section of NUL-terminated names.
"""

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_STRUCT, _UNION = 4, 5
_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG = 8, 9, 10, 11, 18
_QUALIFIERS = frozenset((_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG))
_TYPE_WORDS = 3
# What follows a type's three words, in 32-bit words, by kind from 0 (void) to 19 (ENUM64): so many always,
# and so many for each of its entries.
_FIXED_WORDS = (0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0)
_ENTRY_WORDS = (0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3)


class BtfError(Exception):
    """The type information is missing or not what it should be; the message is one line for an operator."""


class MissingMemberError(BtfError):
    """The kernel has no such structure, or the structure has no such member."""


class Btf:
    """The types of one kernel.

    Raises BtfError where `data` is not type information that this module can read.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise BtfError(f"BTF: {len(data)} bytes are too few for a header")
        magic, version, _flags, header, types_at, types_size, names_at, names_size = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise BtfError(f"BTF: magic number is {magic:#06x}, not {_MAGIC:#06x}")
        if version != 1:
            raise BtfError(f"BTF: version {version} is not known, only 1 is")
        if header + max(types_at + types_size, names_at + names_size) > len(data) or types_size % 4:
            raise BtfError("BTF: cut short, a section ends after the end of the data")
        self._words = array("I", data[header + types_at :][:types_size])
        self._names = data[header + names_at :][:names_size]
        self._positions = _positions(self._words)
        # Searched as a whole for each of the dozen wanted: cheaper than a dictionary of 125,000 names.
        self._name_column = list(map(self._words.__getitem__, self._positions))

    @classmethod
    def of_running_kernel(cls, path: Path = VMLINUX) -> "Btf":
        """Read the running kernel's types. Raises BtfError with what is missing."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise BtfError(
                f"this kernel has no BTF: {path} does not exist (needs CONFIG_DEBUG_INFO_BTF=y)"
            ) from None
        except OSError as error:
            raise BtfError(f"BTF: {path} cannot be read: {error.strerror}") from error
        return cls(data)

    def offset(self, struct_name: str, *members: str) -> int:
        """Bytes from the start of `struct_name` to a member, or to a member's member where several are given.

        Members of anonymous structures and unions inside count as the outer one's, as in C. Where several
        types of the kernel bear the name (several compilation units), those with the member must agree.
        Raises MissingMemberError, or BtfError where the answer is ambiguous or not at a whole byte.
        """
        candidates = list(self._structs(struct_name))
        if not candidates:
            raise MissingMemberError(f"BTF: this kernel has no struct {struct_name}")
        found = {offset for position in candidates if (offset := self._path(position, members)) is not None}
        path = ".".join(members)
        if not found:
            raise MissingMemberError(f"BTF: this kernel's struct {struct_name} has no member {path}")
        if len(found) > 1:
            raise BtfError(f"BTF: struct {struct_name} has member {path} at several offsets: {sorted(found)}")
        bits = found.pop()
        if bits % 8:
            raise BtfError(f"BTF: member {path} of struct {struct_name} is a bit field")
        return bits // 8

    def _structs(self, name: str) -> Iterator[int]:
        """Positions of the structures of this name."""
        for name_at in self._name_offsets(name):
            index = -1
            for _ in range(self._name_column.count(name_at)):
                index = self._name_column.index(name_at, index + 1)
                position = self._positions[index]
                if self._words[position + 1] >> 24 & 0x1F == _STRUCT:
                    yield position

    def _name_offsets(self, name: str) -> Iterator[int]:
        wanted = name.encode() + b"\0"
        at = self._names.find(b"\0" + wanted)
        while at >= 0:
            yield at + 1
            at = self._names.find(b"\0" + wanted, at + 1)

    def _name(self, name_at: int) -> bytes:
        return self._names[name_at : self._names.index(b"\0", name_at)]

    def _path(self, position: int, members: tuple[str, ...]) -> int | None:
        """Bits to the last of `members`, or None where one is not there."""
        bits = 0
        for depth, member in enumerate(members):
            found = self._member(position, member.encode())
            if found is None:
                return None
            offset, type_id = found
            bits += offset
            if depth + 1 < len(members):
                inner = self._compound(type_id)
                if inner is None:
                    return None
                position = inner
        return bits

    def _member(self, position: int, name: bytes) -> tuple[int, int] | None:
        """Bits to the member and its type's id, looking into anonymous structures and unions."""
        words = self._words
        info = words[position + 1]
        offset_mask = 0xFFFFFF if info >> 31 else 0xFFFFFFFF
        start = position + _TYPE_WORDS
        for at in range(start, start + 3 * (info & 0xFFFF), 3):
            name_at, type_id, offset = words[at], words[at + 1], words[at + 2] & offset_mask
            if name_at:
                if self._name(name_at) == name:
                    return offset, type_id
                continue
            inner = self._compound(type_id)
            found = None if inner is None else self._member(inner, name)
            if found is not None:
                return offset + found[0], found[1]
        return None

    def _compound(self, type_id: int) -> int | None:
        """Position of the structure or union that a type is, behind typedefs and qualifiers."""
        while 0 < type_id <= len(self._positions):
            position = self._positions[type_id - 1]
            kind = self._words[position + 1] >> 24 & 0x1F
            if kind in (_STRUCT, _UNION):
                return position
            if kind not in _QUALIFIERS:
                return None
            type_id = self._words[position + 2]
        return None


def _positions(words: "array[int]") -> list[int]:
    """Where each type starts, in words: the only way to find a type by its id is to walk them all."""
    fixed, entry = _FIXED_WORDS, _ENTRY_WORDS
    positions: list[int] = []
    append = positions.append
    position, end = 0, len(words)
    try:
        while position < end:
            append(position)
            info = words[position + 1]
            kind = info >> 24 & 0x1F
            position += _TYPE_WORDS + fixed[kind] + entry[kind] * (info & 0xFFFF)
    except IndexError:
        if position + 1 >= end:
            raise BtfError("BTF: cut short within a type") from None
        raise BtfError(f"BTF: type {len(positions)} is of kind {kind}, which is not known") from None
    if position != end:
        raise BtfError("BTF: cut short within a type")
    return positions
