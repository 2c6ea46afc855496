"""The student that a node plays: always the same, its own, and one that agents and backend take for a student."""

import re

import pytest

from watcher_agents.identity import student_of_pod, student_of_workspace
from watcher_agents.node.canary import CANARY_CLASS, canary_of, pod_hostname
from watcher_backend import names

HOST_NAME_MAX = 64  # sethostname(2)


def test_a_node_is_always_the_same_student_and_no_other_nodes() -> None:
    assert canary_of("worker-1") == canary_of("worker-1")
    assert len({canary_of(f"worker-{number}").student_id for number in range(1000)}) == 1000


@pytest.mark.parametrize("prefix", ["jcode-", "j", "p" * 32])
def test_its_workspace_and_its_pod_are_recognised_as_a_students(prefix: str) -> None:
    canary = canary_of("worker-1")
    assert re.fullmatch(r"watcher-canary-[1-9][0-9]{8}", canary.workspace)
    assert student_of_workspace(canary.workspace) == canary
    hostname = pod_hostname(canary, prefix)
    assert student_of_pod(hostname, prefix) == canary
    assert len(hostname) <= HOST_NAME_MAX


def test_agents_and_backend_mean_the_same_class() -> None:
    assert CANARY_CLASS == names.CANARY_CLASS
