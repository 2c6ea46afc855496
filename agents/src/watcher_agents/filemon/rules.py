"""Which files count, as `/etc/watcher/filemon.yml` says."""

import re
from dataclasses import dataclass
from pathlib import Path

from watcher_agents.rules_file import CheckedMapping, read_rules

_EXTENSION = re.compile(r"\.[A-Za-z0-9_+-]{1,16}")
_NAME = re.compile(r"[^/\0]{1,255}")


@dataclass(frozen=True)
class FileRules:
    """Which files filemon records; names are bytes, as the file system has them."""

    assignment_pattern: re.Pattern[bytes]
    extensions: tuple[bytes, ...]
    ignored_directories: frozenset[bytes]
    max_directory_depth: int
    max_file_bytes: int
    quiet_seconds: float
    max_directories: int
    """Followed per workspace."""
    max_files: int
    """Recorded per workspace."""
    looks_per_second: float
    """Per workspace, on average."""
    bytes_per_second: float
    """Per workspace, on average."""

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
    """The rules of `path` over those that come with filemon; None: those alone. Raises RulesError."""
    source, document = read_rules(__package__, path)
    rules = CheckedMapping(source, "", document, set(FileRules.__dataclass_fields__))
    extensions = rules.strings("extensions", required=True, form=_EXTENSION, right="extensions such as .c")
    ignored = rules.strings("ignored_directories", form=_NAME, right="directory names without a slash")
    return FileRules(
        assignment_pattern=re.compile(rules.regex("assignment_pattern").pattern.encode()),
        extensions=tuple(extension.encode() for extension in extensions),
        ignored_directories=frozenset(name.encode() for name in ignored),
        max_directory_depth=rules.whole_number("max_directory_depth", 0, 32),
        max_file_bytes=rules.whole_number("max_file_bytes", 1, 16 * 1024 * 1024),
        quiet_seconds=rules.number("quiet_seconds", 0.1, 600),
        max_directories=rules.whole_number("max_directories", 10, 1_000_000),
        max_files=rules.whole_number("max_files", 10, 10_000_000),
        looks_per_second=rules.number("looks_per_second", 0.1, 100_000),
        bytes_per_second=rules.number("bytes_per_second", 1024, 1 << 34),
    )
