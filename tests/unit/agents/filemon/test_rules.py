"""The rules file: what it may say, and what is said of a mistake in it."""

from pathlib import Path

import pytest

from watcher_agents.filemon.rules import load_rules
from watcher_agents.rules_file import RulesError


def test_what_the_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    file = tmp_path / "filemon.yml"
    file.write_text("extensions: [.rs]\n")
    rules = load_rules(file)
    assert rules.is_tracked_name(b"main.rs")
    assert not rules.is_tracked_name(b"main.c")
    assert rules.is_assignment(b"hw10")
    assert rules.max_file_bytes == 64 * 1024


def test_what_a_students_workspace_may_cost_is_set(tmp_path: Path) -> None:
    file = tmp_path / "filemon.yml"
    file.write_text("max_directories: 20\nmax_files: 30\nlooks_per_second: 0.5\nbytes_per_second: 2048\n")
    rules = load_rules(file)
    found = (rules.max_directories, rules.max_files, rules.looks_per_second, rules.bytes_per_second)
    assert found == (20, 30, 0.5, 2048.0)
    shipped = load_rules(None)
    assert (shipped.max_directories, shipped.max_files) == (10_000, 100_000)
    assert (shipped.looks_per_second, shipped.bytes_per_second) == (100.0, 1 << 20)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "filemon.yml"
    file.write_text("# nothing\n")
    assert load_rules(file) == load_rules(None)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("extension: [.c]", "extension", "['.c']"),
        ("extensions: .c", "extensions", "'.c'"),
        ("extensions: [c]", "extensions", "'c'"),
        ("extensions: []", "extensions", "[]"),
        ("assignment_pattern: 'hw('", "assignment_pattern", "'hw('"),
        ("assignment_pattern: 3", "assignment_pattern", "3"),
        ("max_directory_depth: -1", "max_directory_depth", "-1"),
        ("max_directory_depth: true", "max_directory_depth", "True"),
        ("max_file_bytes: 1.5", "max_file_bytes", "1.5"),
        ("quiet_seconds: soon", "quiet_seconds", "'soon'"),
        ("ignored_directories: [a/b]", "ignored_directories", "'a/b'"),
        ("max_directories: 9", "max_directories", "9"),
        ("max_directories: 1000001", "max_directories", "1000001"),
        ("max_files: 0", "max_files", "0"),
        ("max_files: many", "max_files", "'many'"),
        ("looks_per_second: 0", "looks_per_second", "0"),
        ("looks_per_second: .inf", "looks_per_second", "inf"),
        ("looks_per_second: .nan", "looks_per_second", "nan"),
        ("bytes_per_second: 1023", "bytes_per_second", "1023"),
        ("bytes_per_second: [1]", "bytes_per_second", "[1]"),
        ("- a\n- b", "the document", "['a', 'b']"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_value_on_one_line(
    text: str, key: str, value: str, tmp_path: Path
) -> None:
    file = tmp_path / "filemon.yml"
    file.write_text(text)
    with pytest.raises(RulesError) as caught:
        load_rules(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: {key} is ")
    assert value in message
    assert ": must be " in message or ": no such key" in message
    assert "\n" not in message
