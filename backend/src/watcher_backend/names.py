"""Rules for the names that come from outside: classes, assignments, students, files, snapshot paths."""

import re

MAX_STUDENT_ID = 10**18 - 1
MAX_FILENAME_LENGTH = 255

CANARY_CLASS = "watcher-canary"
"""The class whose students are nodes: what `watcher-agent verify` does there is recorded under it."""

# In the old endpoints' paths; wider than the wire contract's, because the notebook hook posts "unknown".
LEGACY_NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
MAX_LEGACY_NAME_LENGTH = 64

_LEGACY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_STUDENT_ID = re.compile(r"[0-9]{1,18}")
_UNSAFE_COMPONENT = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_legacy_name(name: str) -> str:
    """Return ``name`` if it can be a class or an assignment in an old endpoint's path. Raises ValueError."""
    if len(name) > MAX_LEGACY_NAME_LENGTH or not _LEGACY_NAME.fullmatch(name):
        raise ValueError(
            f"expected 1 to {MAX_LEGACY_NAME_LENGTH} letters, digits, '_', '.' or '-',"
            " the first a letter, a digit or '_'"
        )
    return name


def parse_student_id(text: str) -> int:
    """Read a student id of 1 to 18 decimal digits.

    Stricter than ``int()``, which also takes signs, underscores, spaces and other scripts' digits: one
    student would then be reachable under many addresses. Raises ValueError.
    """
    if not _STUDENT_ID.fullmatch(text):
        raise ValueError("expected a student number of 1 to 18 digits")
    return int(text)


def check_filename(name: str) -> str:
    """Return ``name`` if it can be a source file's name below an assignment, directories joined with ``@``.

    Raises ValueError where it holds a slash or a control character, is ``.`` or ``..``, climbs (``..``
    between two ``@``) or is longer than 255 characters.
    """
    if not name or len(name) > MAX_FILENAME_LENGTH:
        raise ValueError(f"expected 1 to {MAX_FILENAME_LENGTH} characters")
    if "/" in name or _CONTROL.search(name):
        raise ValueError("must hold neither a slash nor a control character")
    if name == "." or (".." in name and ".." in name.split("@")):
        raise ValueError("must name a file below the assignment: '.' and '..' are refused")
    return name


def check_snapshot_path(path: str) -> str:
    """Return ``path`` if it stays below the snapshot volume's root: no empty, ``.`` or ``..`` component.

    Raises ValueError.
    """
    if _UNSAFE_COMPONENT.search(path):
        raise ValueError("must be relative to the snapshot root: empty, '.' and '..' components are refused")
    return path
