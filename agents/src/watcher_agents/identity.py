"""Who a workspace directory or a pod belongs to.

The forms are those of the WebIDE platform: a workspace directory is `<subject>-<division>-<student id>`,
a pod's hostname is `jcode-<subject>-<division>-<student id>[-<replicaset>-<pod>]`.
"""

import re
from dataclasses import dataclass

_STUDENT = r"(?P<class_div>[A-Za-z0-9]+-[A-Za-z0-9]+)-(?P<student_id>[0-9]{1,18})"
_WORKSPACE = re.compile(_STUDENT)
_POD = re.compile(_STUDENT + r"(?:-[a-z0-9]+)*")
_CLASS_DIV_LIMIT = 64


@dataclass(frozen=True)
class Student:
    """A student in a class: `os-1`, 202012180, and the name of the workspace, `os-1-202012180`.

    The workspace keeps the id as it was written, leading zeros too; the id is a number, as in the API.
    """

    class_div: str
    student_id: int
    workspace: str


def student_of_workspace(directory: str) -> Student | None:
    """The student whose workspace directory has this name, or None where the name is not a workspace's."""
    return _student(_WORKSPACE.fullmatch(directory))


def student_of_pod(hostname: str, prefix: str) -> Student | None:
    """The student whose pod has this hostname, or None where it is not a student's pod.

    `prefix` is what the platform puts before the workspace's name (`jcode-`).
    """
    if not hostname.startswith(prefix):
        return None
    return _student(_POD.fullmatch(hostname[len(prefix) :]))


def _student(match: re.Match[str] | None) -> Student | None:
    if match is None or len(match["class_div"]) > _CLASS_DIV_LIMIT:
        return None
    return Student(match["class_div"], int(match["student_id"]), f"{match['class_div']}-{match['student_id']}")
