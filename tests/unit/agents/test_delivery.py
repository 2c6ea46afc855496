"""A line about a delivered event names the workspace as it is written, leading zeros too."""

from typing import Any

import pytest

from watcher_agents.delivery import workspace_of

EVENT = {"class_div": "os-1", "student_id": 7, "snapshot_path": None}


@pytest.mark.parametrize(
    ("known", "workspace"),
    [
        ({"snapshot_path": "os-1-007/hw1/a.c/20261124_000000.c"}, "os-1-007"),
        ({"hostname": "jcode-os-1-007-6d4f-x2"}, "os-1-007"),
        ({"hostname": "jcode-os-1-7"}, "os-1-7"),
        ({"hostname": "jcode-os-1-007"}, "os-1-007"),
        ({}, "os-1-7"),
    ],
)
def test_the_workspace_is_as_it_is_written(known: dict[str, Any], workspace: str) -> None:
    assert workspace_of(EVENT | known) == workspace
