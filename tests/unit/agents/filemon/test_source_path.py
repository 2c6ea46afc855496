"""Which files are tracked, and the one name that each has."""

import pytest

from watcher_agents.filemon.rules import load_rules
from watcher_agents.filemon.source_path import NAME_LIMIT, joined_name, may_hold_sources, parse_source_path
from watcher_agents.identity import Student

RULES = load_rules(None)
WORKSPACE = b"os-1-202012180"


def test_a_tracked_file_is_taken_apart_as_the_contract_says() -> None:
    source = parse_source_path(WORKSPACE + b"/hw1/src/hello.c", RULES)
    assert source is not None
    assert source.student == Student("os-1", 202012180, "os-1-202012180")
    assert (source.hw_name, source.filename, source.extension) == ("hw1", "src@hello.c", "c")


@pytest.mark.parametrize(
    "path",
    [
        b"hw1/a.c",
        b"hw10/a.c",
        b"hw0/d1/d2/d3/a.ipynb",
        b"hw1/a.cpp",
        b"hw1/a.hpp",
        b"hw1/a.h",
        b"hw1/a.py",
        b"hw1/\xff.c",
    ],
)
def test_files_of_the_contract_are_tracked(path: bytes) -> None:
    assert parse_source_path(WORKSPACE + b"/" + path, RULES)


@pytest.mark.parametrize(
    "path",
    [
        WORKSPACE + b"/a.c",
        WORKSPACE + b"/hw11/a.c",
        WORKSPACE + b"/hw01/a.c",
        WORKSPACE + b"/hw1x/a.c",
        WORKSPACE + b"/hw1/d1/d2/d3/d4/a.c",
        WORKSPACE + b"/hw1/.hidden.c",
        WORKSPACE + b"/hw1/.git/a.c",
        WORKSPACE + b"/hw1/node_modules/a.py",
        WORKSPACE + b"/hw1/lib/a.c",
        WORKSPACE + b"/hw1/d/venv/a.py",
        WORKSPACE + b"/hw1/a.txt",
        WORKSPACE + b"/hw1/hello",
        b"nobody/hw1/a.c",
        b"os-1-\xff/hw1/a.c",
    ],
)
def test_other_files_are_not(path: bytes) -> None:
    assert parse_source_path(path, RULES) is None


def test_only_directories_that_can_lead_to_a_source_file_are_worth_a_watch() -> None:
    assert may_hold_sources((WORKSPACE,), RULES)
    assert may_hold_sources((WORKSPACE, b"hw1", b"a", b"b", b"c"), RULES)
    assert not may_hold_sources((WORKSPACE, b"hw1", b"a", b"b", b"c", b"d"), RULES)
    assert not may_hold_sources((WORKSPACE, b"Downloads"), RULES)
    assert not may_hold_sources((WORKSPACE, b"hw1", b"__pycache__"), RULES)


@pytest.mark.parametrize(
    ("below", "name"),
    [
        ((b"hello.c",), "hello.c"),
        ((b"a", b"b.c"), "a@b.c"),
        ((b"a@b.c",), "a%40b.c"),
        ((b"100%.c",), "100%25.c"),
        ((b"%40.c",), "%2540.c"),
        ((b"a\nb.c",), "a%0Ab.c"),
        ((b"\xff.c",), "%FF.c"),
        (("과제 1.c".encode(),), "과제 1.c"),
    ],
)
def test_a_joined_name_is_printable_and_readable(below: tuple[bytes, ...], name: str) -> None:
    assert joined_name(below) == name


def test_no_two_paths_share_a_name() -> None:
    paths: list[tuple[bytes, ...]] = [
        (b"a@", b"b.c"),
        (b"a", b"@b.c"),
        (b"a@@b.c",),
        (b"a", b"", b"b.c"),
        (b"a%40", b"b.c"),
        (b"a", b"%40b.c"),
    ]
    assert len({joined_name(path) for path in paths}) == len(paths)


def test_a_name_that_is_too_long_is_cut_but_stays_its_own() -> None:
    one = joined_name((b"d" * 255, b"x" * 250 + b"1.c"))
    other = joined_name((b"d" * 255, b"x" * 250 + b"2.c"))
    assert one != other
    assert len(one.encode()) <= NAME_LIMIT
    assert "%~" in one
    assert one.endswith(".c")
    assert len(joined_name(("가".encode() * 85, "나".encode() * 80 + b".c")).encode()) <= NAME_LIMIT
