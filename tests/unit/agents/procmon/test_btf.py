"""The parser of the kernel's type information: on this machine's, and on blobs made to be wrong."""

import struct
from pathlib import Path

import pytest

from watcher_agents.procmon.probe.btf import VMLINUX, Btf, BtfError, MissingMemberError

INT, STRUCT, UNION, TYPEDEF = 1, 4, 5, 8


class Blob:
    """Builds type information: `names` are interned, types numbered from 1 in the order of adding."""

    def __init__(self) -> None:
        self._types = b""
        self._names = b"\0"

    def name(self, name: str) -> int:
        if not name:
            return 0
        self._names += name.encode() + b"\0"
        return len(self._names) - len(name) - 1

    def integer(self) -> None:
        self._types += struct.pack("=IIII", self.name("int"), INT << 24, 4, 32)

    def typedef(self, name: str, type_id: int) -> None:
        self._types += struct.pack("=III", self.name(name), TYPEDEF << 24, type_id)

    def compound(self, kind: int, name: str, *members: tuple[str, int, int], bit_fields: bool = False) -> None:
        """Members are (name, type id, offset in bits)."""
        info = kind << 24 | len(members) | bit_fields << 31
        self._types += struct.pack("=III", self.name(name), info, 64)
        for member, type_id, bits in members:
            self._types += struct.pack("=III", self.name(member), type_id, bits)

    def raw_type(self, kind: int) -> None:
        self._types += struct.pack("=III", 0, kind << 24, 0)

    def data(self, magic: int = 0xEB9F, version: int = 1) -> bytes:
        sizes = (0, len(self._types), len(self._types), len(self._names))
        return struct.pack("=HBBIIIII", magic, version, 0, 24, *sizes) + self._types + self._names


@pytest.fixture
def blob() -> Blob:
    """An int (1), an anonymous union (2) of an anonymous struct (3) and an int, and struct outer (4) around it."""
    made = Blob()
    made.integer()
    made.compound(UNION, "", ("", 3, 0), ("in_union", 1, 0))
    made.compound(STRUCT, "", ("first", 1, 0), ("second", 1, 32))
    made.compound(STRUCT, "outer", ("before", 1, 0), ("", 2, 64), ("inner", 5, 128))
    made.typedef("inner_t", 6)
    made.compound(STRUCT, "inner", ("x", 1, 0), ("y", 1, 32))
    return made


def test_members_of_anonymous_structures_are_the_outer_ones(blob: Blob) -> None:
    """As in C: the offsets add up through any number of structures without a name."""
    btf = Btf(blob.data())
    assert btf.offset("outer", "before") == 0
    assert btf.offset("outer", "in_union") == 8
    assert btf.offset("outer", "second") == 12


def test_a_members_member_is_found_behind_a_typedef(blob: Blob) -> None:
    """A way through embedded structures adds up too."""
    assert Btf(blob.data()).offset("outer", "inner", "y") == 20


def test_missing_names_are_named(blob: Blob) -> None:
    """The error says which structure or member this kernel does not have."""
    btf = Btf(blob.data())
    with pytest.raises(MissingMemberError, match="no struct task_struct"):
        btf.offset("task_struct", "mm")
    with pytest.raises(MissingMemberError, match=r"struct outer has no member inner\.z"):
        btf.offset("outer", "inner", "z")
    with pytest.raises(MissingMemberError, match=r"struct outer has no member before\.x"):
        btf.offset("outer", "before", "x")


def test_structures_of_one_name_must_agree(blob: Blob) -> None:
    """Twice the same is one answer, two answers are none."""
    blob.compound(STRUCT, "outer", ("before", 1, 0), ("second", 1, 32))
    btf = Btf(blob.data())
    assert btf.offset("outer", "before") == 0
    with pytest.raises(BtfError, match=r"outer has member second at several offsets: \[32, 96\]"):
        btf.offset("outer", "second")


def test_a_typedef_of_the_name_is_no_structure(blob: Blob) -> None:
    """Only a structure answers to a structure's name."""
    blob.typedef("only_typedef", 4)
    with pytest.raises(MissingMemberError, match="no struct only_typedef"):
        Btf(blob.data()).offset("only_typedef", "before")


def test_bit_fields_have_no_offset(blob: Blob) -> None:
    """What does not begin at a byte cannot be read as one; beside it, members have theirs."""
    blob.compound(STRUCT, "flags", ("bit", 1, 1 << 24 | 3), ("whole", 1, 64), bit_fields=True)
    btf = Btf(blob.data())
    assert btf.offset("flags", "whole") == 8
    with pytest.raises(BtfError, match="bit of struct flags is a bit field"):
        btf.offset("flags", "bit")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes are too few"),
        (Blob().data(magic=0x9FEB), "magic number is 0x9feb"),
        (Blob().data(version=2), "version 2 is not known"),
        (Blob().data()[:-1], "cut short"),
    ],
)
def test_what_is_no_btf_is_refused(data: bytes, words: str) -> None:
    """Each way to be no type information has its words."""
    with pytest.raises(BtfError, match=words):
        Btf(data)


def test_unknown_kind_is_refused(blob: Blob) -> None:
    """A kind of a newer kernel may have any size: going on would read garbage."""
    blob.raw_type(20)
    blob.integer()
    with pytest.raises(BtfError, match="type 7 is of kind 20"):
        Btf(blob.data())


def test_kernel_without_btf_is_told(tmp_path: Path) -> None:
    """The file that a kernel without type information does not have."""
    with pytest.raises(BtfError, match=r"this kernel has no BTF: .*vmlinux does not exist"):
        Btf.of_running_kernel(tmp_path / "vmlinux")


def test_this_kernels_types_are_read() -> None:
    """On the running kernel: known members are where they can be, in the order in which they are declared."""
    btf = Btf.of_running_kernel()
    assert VMLINUX.exists()
    assert btf.offset("qstr", "name") == 8
    assert 0 < btf.offset("mm_struct", "arg_start") == btf.offset("mm_struct", "arg_end") - 8
    # Linux's utsname: six names of 65 bytes, the second one the nodename.
    assert btf.offset("new_utsname", "nodename") == 65
    name = btf.offset("uts_namespace", "name")
    assert btf.offset("uts_namespace", "name", "nodename") == name + 65
