"""Which assignment of a student's a path lies in."""

import posixpath
import re
from dataclasses import dataclass

from watcher_agents.identity import Student, student_of_workspace

_WORKSPACES = "workspace"
# A longer one could not have been opened (PATH_MAX).
_PATH_MAX = 4096
# What the wire contract allows an assignment's name, whatever a site's pattern allows.
_HW_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def absolute(cwd: str, path: str) -> str | None:
    """`path` as seen from `cwd`, without `.` and `..`; None where `cwd` is not known from its root on.

    Links are not followed: the files are the student's, and may be others by now.
    """
    joined = posixpath.join(cwd, path)
    if not joined.startswith("/") or not path or len(joined) > 2 * _PATH_MAX:
        return None
    return "/" + posixpath.normpath(joined).lstrip("/")


@dataclass(frozen=True)
class AssignmentFinder:
    """Finds assignments of one student. `pattern` matches the name of an assignment directory."""

    pattern: re.Pattern[str]
    project_directory: str
    student: Student

    def below(self, path: str) -> str | None:
        """The assignment that the file at an absolute path lies in."""
        hw_name, rest = self._split(path)
        return hw_name if rest else None

    def at_or_below(self, path: str) -> str | None:
        """The assignment that an absolute path is, or lies in."""
        return self._split(path)[0]

    def _split(self, path: str) -> tuple[str | None, list[str]]:
        if path.startswith(self.project_directory + "/"):
            below = path[len(self.project_directory) + 1 :].split("/")
        else:
            below = self._below_workspace(path.split("/"))
        if not below or not self.pattern.fullmatch(below[0]) or not _HW_NAME.fullmatch(below[0]):
            return None, []
        return below[0], below[1:]

    def _below_workspace(self, parts: list[str]) -> list[str]:
        """What stands below the workspace, which must be this student's."""
        index, student = _workspace_at(parts)
        return parts[index + 1 :] if student is not None and student.workspace == self.student.workspace else []


def workspace_in(path: str) -> Student | None:
    """Whose workspace an absolute path inside its file system is, or lies in."""
    return _workspace_at(path.split("/"))[1]


def _workspace_at(parts: list[str]) -> tuple[int, Student | None]:
    """Where in a path the workspace's name stands, and whose it is.

    The path is inside its file system, so there may be anything above `workspace`. The first directory in it that
    is a workspace decides: below one's own workspace anyone can make directories named like another's.
    """
    if parts and not parts[0]:
        for index in range(2, len(parts)):
            student = student_of_workspace(parts[index]) if parts[index - 1] == _WORKSPACES else None
            if student is not None:
                return index, student
    return 0, None
