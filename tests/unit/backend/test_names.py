"""Names from outside: which are taken, which are refused."""

import pytest

from watcher_backend import names


@pytest.mark.parametrize(
    "name", ["hello.c", "src@lib@hello.c", "...", "a..b.c", "..c", "한글.py", "a b\\c%2F.c", "x" * 255]
)
def test_a_source_files_name_is_taken_as_it_is(name: str) -> None:
    assert names.check_filename(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "..@a.c", "a@..@b.c", "a@..", "a/b.c", "a\0.c", "a\n.c", "a\x7f.c", "x" * 256]
)
def test_a_name_that_climbs_breaks_lines_or_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected|must"):
        names.check_filename(name)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("202012180", 202012180), ("9" * 18, 10**18 - 1)])
def test_a_student_id_is_up_to_eighteen_digits(text: str, number: int) -> None:
    assert names.parse_student_id(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", " 1", "1.0", "1" * 19, "٣", "unknown"])
def test_nothing_else_is_a_student_id(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 18 digits"):
        names.parse_student_id(text)


@pytest.mark.parametrize("name", ["os-1", "unknown", "_x.y-z", "A" * 64])
def test_a_class_or_assignment_of_the_old_endpoints_is_taken(name: str) -> None:
    assert names.check_legacy_name(name) == name


@pytest.mark.parametrize("name", ["", "-x", ".x", "..", "a b", "a\n", "한글", "A" * 65])
def test_another_class_or_assignment_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64"):
        names.check_legacy_name(name)


@pytest.mark.parametrize("path", ["a", "a/b/c.c", "..a/b..", "a/.../b"])
def test_a_snapshot_path_below_the_root_is_taken(path: str) -> None:
    assert names.check_snapshot_path(path) == path


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "."])
def test_a_snapshot_path_that_may_leave_the_root_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="relative to the snapshot root"):
        names.check_snapshot_path(path)
