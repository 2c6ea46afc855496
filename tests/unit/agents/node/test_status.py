"""`watcher-agent status`: every trouble that an agent can tell is a problem, and no more than that is."""

from datetime import datetime, timezone
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from watcher_agents.node.agent_metrics import AgentMetrics
from watcher_agents.node.installed_agents import AGENTS
from watcher_agents.node.mount_state import MountState
from watcher_agents.node.services import UnitState
from watcher_agents.node.status import AgentStatus, NodeStatus, agent_status, current_release
from watcher_agents.node.status_text import status_text

SINCE = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)
WELL = """\
watcher_ready 1
watcher_agent_info{release="0.2.0"} 1
watcher_spool_events 3
watcher_spool_bytes 512
watcher_spool_rejected_events 0
watcher_last_event_timestamp_seconds 1795478400
watcher_blind_workspaces 0
watcher_inotify_unwatched 0
# TYPE watcher_probe_losses counter
watcher_probe_losses_total{cause="a"} 0
watcher_probe_losses_total{cause="b"} 0
"""


def status_of(
    text: str, active: str = "active", status: str = "watching", release: str | None = "0.2.0"
) -> AgentStatus:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    unit = UnitState(active, "running", status, 7, 2, SINCE)
    return agent_status(AGENTS["filemon"], unit, AgentMetrics(samples), release)


def test_an_agent_that_is_well_is_told_as_it_is() -> None:
    assert status_of(WELL) == AgentStatus(
        active="active",
        status="watching",
        ready=True,
        release="0.2.0",
        restarts=2,
        since="2026-11-23T08:00:00Z",
        spool_events=3,
        spool_bytes=512,
        rejected_events=0,
        last_event_at="2026-11-24T00:00:00Z",
        problems=[],
    )


def test_before_the_first_event_there_is_no_last_one() -> None:
    assert status_of(WELL.replace("1795478400", "0")).last_event_at is None


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        (WELL.replace("ready 1", "ready 0"), {}, "not ready"),
        (WELL.replace("rejected_events 0", "rejected_events 4"), {}, "4 events that the backend refused"),
        (WELL.replace("blind_workspaces 0", "blind_workspaces 2"), {}, "2 workspaces are blind"),
        (WELL.replace("unwatched 0", "unwatched 9"), {}, "9 directories cannot be watched"),
        (WELL.replace('"b"} 0', '"b"} 6'), {}, "6 records of programs were lost"),
        (WELL, {"release": "0.3.0"}, "runs release 0.2.0, the node is switched to 0.3.0"),
        (WELL, {"active": "failed"}, "watcher-filemon.service is failed (running)"),
        (WELL, {"status": "PROBLEM backend unreachable"}, "backend unreachable"),
    ],
)
def test_each_trouble_is_one_problem(text: str, changes: dict[str, str], said: str) -> None:
    (problem,) = status_of(text, **changes).problems
    assert said in problem


def test_an_agent_that_runs_without_metrics_is_a_problem_and_one_that_is_down_only_one() -> None:
    for active, number in (("active", 1), ("failed", 1)):
        unit = UnitState(active, "dead", "", 0, 0, None)
        status = agent_status(AGENTS["procmon"], unit, "refused", None)
        assert len(status.problems) == number
        assert status.spool_events is None


def test_the_release_is_what_the_link_points_to(tmp_path: Path) -> None:
    link = tmp_path / "current"
    assert current_release(link) is None
    link.symlink_to("releases/0.2.0")
    assert current_release(link) == "0.2.0"


def test_the_text_ends_with_what_is_wrong_or_that_nothing_is() -> None:
    mounts = {"/watcher/codes": MountState("mounted", "10.0.0.1:/pvc-1", "nfs4", "rw,vers=4.1")}
    well = NodeStatus("worker-1", "0.2.0", {"filemon": status_of(WELL)}, mounts, [])
    assert well.well
    assert status_text(well).splitlines()[-1] == "all is well"
    ill = NodeStatus("worker-1", "0.2.0", {"filemon": status_of(WELL, "failed")}, mounts, ["the mount\nhangs"])
    assert not ill.well
    assert status_text(ill).splitlines()[-2:] == [
        "PROBLEM the mount\\nhangs",
        "PROBLEM filemon: watcher-filemon.service is failed (running): journalctl -u watcher-filemon.service",
    ]
