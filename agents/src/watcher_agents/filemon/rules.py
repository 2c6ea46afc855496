"""Which files count, as `/etc/watcher/filemon.yml` says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


class RulesError(ValueError):
    """A rules file is wrong; the message is one line: the file, the key, its value, what would be right."""

    def __init__(self, source: str, key: str, value: object, expected: str) -> None:
        super().__init__(f"{source}: {key} is {value!r}: expected {expected}")


@dataclass(frozen=True)
class FileRules:
    """Which files filemon records; names are bytes, as the file system has them."""

    assignment_pattern: re.Pattern[bytes]
    extensions: tuple[bytes, ...]
    ignored_directories: frozenset[bytes]
    max_directory_depth: int
    max_file_bytes: int
    quiet_seconds: float

    def is_assignment(self, name: bytes) -> bool:
        """Whether a directory of this name below a workspace is an assignment."""
        return self.assignment_pattern.fullmatch(name) is not None

    def is_ignored_directory(self, name: bytes) -> bool:
        """Whether a directory of this name can hold nothing of the student's own."""
        return name.startswith(b".") or name in self.ignored_directories

    def is_tracked_name(self, name: bytes) -> bool:
        """Whether a file of this name, wherever it stands, is a source file."""
        return not name.startswith(b".") and name.endswith(self.extensions)


def load_rules(path: Path | None) -> FileRules:
    """The rules in `path` over those that come with filemon; None: those alone.

    Raises RulesError, or OSError where the file cannot be read.
    """
    shipped = files(__package__).joinpath("rules.yml").read_text(encoding="utf-8")
    merged = _parse(shipped, "rules.yml")
    source = "rules.yml"
    if path is not None:
        source = str(path)
        given = _parse(path.read_text(encoding="utf-8"), source)
        for key in given:
            if key not in merged:
                raise RulesError(source, str(key), given[key], "one of the keys " + ", ".join(sorted(merged)))
        merged.update(given)
    return _rules(merged, source)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RulesError(source, "the file", " ".join(str(error).split()), "YAML") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise RulesError(source, "the file", document, "keys with values")
    return document


def _rules(document: Mapping[str, Any], source: str) -> FileRules:
    return FileRules(
        assignment_pattern=_pattern(document, source, "assignment_pattern"),
        extensions=tuple(_names(document, source, "extensions", re.compile(r"\.[A-Za-z0-9_+-]{1,16}"))),
        ignored_directories=frozenset(
            _names(document, source, "ignored_directories", re.compile(r"[^/\0]{1,255}"))
        ),
        max_directory_depth=int(_number(document, source, "max_directory_depth", 0, 32, whole=True)),
        max_file_bytes=int(_number(document, source, "max_file_bytes", 1, 16 * 1024 * 1024, whole=True)),
        quiet_seconds=_number(document, source, "quiet_seconds", 0.1, 600, whole=False),
    )


def _pattern(document: Mapping[str, Any], source: str, key: str) -> re.Pattern[bytes]:
    value = document[key]
    try:
        return re.compile(value.encode())
    except (AttributeError, re.error) as error:
        raise RulesError(source, key, value, "a regular expression, such as 'hw[0-9]+'") from error


def _names(document: Mapping[str, Any], source: str, key: str, form: re.Pattern[str]) -> list[bytes]:
    value = document[key]
    expected = f"a list of names of the form {form.pattern}"
    if not isinstance(value, list) or not value:
        raise RulesError(source, key, value, expected)
    for name in value:
        if not isinstance(name, str) or not form.fullmatch(name):
            raise RulesError(source, key, name, expected)
    return [name.encode() for name in value]


def _number(
    document: Mapping[str, Any], source: str, key: str, least: float, most: float, *, whole: bool
) -> float:
    value: Any = document[key]
    # YAML's true is a bool, and in Python a bool is an int.
    right_kind = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not right_kind or not least <= value <= most:
        kind = "whole number" if whole else "number"
        raise RulesError(source, key, value, f"a {kind} from {least} to {most}")
    return float(value)
