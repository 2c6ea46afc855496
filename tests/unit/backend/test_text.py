"""Text from outside, made safe to show."""

import pytest

from watcher_backend.text import escape_control, printable


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("hello 한글", "hello 한글"),
        ("a\nb\x00\x1b[31m\u2028", "a\\nb\\x00\\x1b[31m\\u2028"),
        ("\ud800", "\\ud800"),
        (b"a\xff", "a\\xff"),
        (None, "null"),
        (True, "true"),
        (float("nan"), "nan"),
        ({"a": 1}, "an object of 1 members"),
        ([1, 2], "an array of 2 elements"),
    ],
)
def test_a_value_is_shown_in_one_printable_line(value: object, shown: str) -> None:
    assert printable(value) == shown
    printable(value).encode("utf-8")


def test_an_integer_too_large_to_write_out_is_named() -> None:
    assert printable(10**5000) == "an integer of 16610 bits"


@pytest.mark.parametrize("value", ["x" * 10_000_000, "\0" * 1000, [[]] * 1000, b"\xff" * 1000])
def test_no_value_is_shown_longer_than_200_characters(value: object) -> None:
    assert len(printable(value)) <= 200


def test_only_what_is_not_printable_is_escaped() -> None:
    assert escape_control("tab\there ü") == "tab\\there ü"
