"""Whose a workspace or a pod is."""

import pytest

from watcher_agents.identity import Student, student_of_pod, student_of_workspace

STUDENT = Student("os-1", 202012180, "os-1-202012180")


@pytest.mark.parametrize(
    ("directory", "student"),
    [
        ("os-1-202012180", STUDENT),
        ("test-user-001", Student("test-user", 1, "test-user-001")),
        ("os-1", None),
        ("os-1-202012180x", None),
        ("os-1-202012180\n", None),
        ("os-1-202012180-extra", None),
        ("os_1-1-202012180", None),
        ("os-1-" + "9" * 19, None),
        ("a" * 64 + "-1-1", None),
        ("", None),
    ],
)
def test_a_workspace_is_subject_division_and_student_and_nothing_else(
    directory: str, student: Student | None
) -> None:
    assert student_of_workspace(directory) == student


@pytest.mark.parametrize(
    ("hostname", "student"),
    [
        ("jcode-os-1-202012180-866cbc896c-lrx9d", STUDENT),
        ("jcode-os-1-202012180", STUDENT),
        ("os-1-202012180-866cbc896c-lrx9d", None),
        ("jcode-gateway-7d9f", None),
        ("jcode-os-1-202012180-UPPER", None),
    ],
)
def test_a_pod_is_a_students_only_with_the_prefix_and_a_whole_workspace_name(
    hostname: str, student: Student | None
) -> None:
    assert student_of_pod(hostname, "jcode-") == student
