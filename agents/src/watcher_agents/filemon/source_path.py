"""Where a source file stands in a workspace, and the name by which the rest of Watcher knows it."""

import hashlib
from dataclasses import dataclass

from watcher_agents.filemon.rules import FileRules
from watcher_agents.identity import Student, student_of_workspace

NAME_LIMIT = 255
"""Bytes in a file name on the snapshot volume, and in `filename` on the wire."""


@dataclass(frozen=True)
class SourcePath:
    """A tracked file: whose it is, of which assignment, and its path below the assignment."""

    student: Student
    hw_name: str
    below: tuple[bytes, ...]
    """Directories and file name below the assignment, as the file system has them; at least one."""

    @property
    def filename(self) -> str:
        """The path below the assignment as one name: `src@hello.c`. See `joined_name`."""
        return joined_name(self.below)

    @property
    def extension(self) -> str:
        """What the file's name ends in, without the dot."""
        return self.below[-1].rpartition(b".")[2].decode("ascii")


def parse_source_path(relative: bytes, rules: FileRules) -> SourcePath | None:
    """The source file at `relative` (below the watch root), or None where no tracked file can stand."""
    parts = tuple(relative.split(b"/"))
    if len(parts) < 3 or not rules.is_tracked_name(parts[-1]) or not may_hold_sources(parts[:-1], rules):
        return None
    student = student_of_workspace(parts[0].decode("ascii"))
    assert student is not None
    return SourcePath(student, parts[1].decode("ascii"), parts[2:])


def may_hold_sources(parts: tuple[bytes, ...], rules: FileRules) -> bool:
    """Whether the directory at `parts` (below the watch root) is one that may lead to a tracked file."""
    if not is_workspace(parts[0]):
        return False
    if len(parts) > 1 and not (parts[1].isascii() and rules.is_assignment(parts[1])):
        return False
    return len(parts) - 2 <= rules.max_directory_depth and not any(
        rules.is_ignored_directory(name) for name in parts[2:]
    )


def is_workspace(name: bytes) -> bool:
    """Whether a directory of this name in the watch root is a student's workspace."""
    return student_of(name) is not None


def student_of(workspace: bytes) -> Student | None:
    """The student whose workspace has this name, or None where it is not a workspace's."""
    return student_of_workspace(workspace.decode("ascii")) if workspace.isascii() else None


def joined_name(below: tuple[bytes, ...]) -> str:
    """A path as one printable name that no other path shares: directories joined with `@`.

    A real `@`, a `%` and every byte that is no printable UTF-8 are written `%XX`, so that `a/b.c` and `a@b.c`
    stay two files and a name with a newline stays one line. What would be longer than a file name may be is cut
    and ends in `%~`, a hash of the whole path, and the extension; `%~` cannot come from the rule before.
    """
    name = "@".join(_escaped(part) for part in below)
    encoded = name.encode()
    if len(encoded) <= NAME_LIMIT:
        return name
    extension = b"." + below[-1].rpartition(b".")[2]
    mark = b"%~" + hashlib.sha256(b"/".join(below)).hexdigest()[:32].encode() + extension
    return (encoded[: NAME_LIMIT - len(mark)].decode("utf-8", "ignore").encode() + mark).decode()


def _escaped(part: bytes) -> str:
    return "".join(
        char
        if char.isprintable() and char not in "@%"
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in part.decode("utf-8", "surrogateescape")
    )
