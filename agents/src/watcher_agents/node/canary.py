"""The student that a node plays to prove that it records.

The class is no real one, so nobody's list shows what is recorded; the number follows from the node's name, so that
a later run finds what an earlier one had to leave, and no two nodes remove each other's.
"""

import hashlib

from watcher_agents.identity import Student, student_of_workspace

CANARY_CLASS = "watcher-canary"
"""The class under which the backend lets events be removed again."""
HW_NAME = "hw1"
_LEAST, _NUMBERS = 100_000_000, 900_000_000


def canary_of(node_name: str) -> Student:
    """The student that the node of this name plays."""
    digest = hashlib.sha256(node_name.encode()).digest()
    number = _LEAST + int.from_bytes(digest[:8], "big") % _NUMBERS
    student = student_of_workspace(f"{CANARY_CLASS}-{number}")
    assert student is not None
    return student


def pod_hostname(canary: Student, prefix: str) -> str:
    """The hostname of the canary's pod where students' pods are named with this prefix of up to 32 characters."""
    return f"{prefix}{canary.workspace}-verify"
