"""What a run ends with fits into a ticket: each node, what became of it, and why where it failed."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.executor.stats import AggregateStats
from ansible.utils.display import Display

from unit.roles.loading import load

summary = load("common/callback_plugins/watcher_summary.py")


class Run:
    """A run of a playbook, told to the callback as Ansible tells it."""

    def __init__(self, told: list[str]) -> None:
        self.callback = summary.CallbackModule()
        self.stats = AggregateStats()
        self._told = told
        self.callback.v2_playbook_on_start(SimpleNamespace(_file_name="/checkout/playbooks/site.yml"))

    def well(self, host: str, changed: int = 0) -> None:
        """Count a node's tasks."""
        self.stats.increment("ok", host)
        for _ in range(changed):
            self.stats.increment("changed", host)

    def failed(self, host: str, ignored: bool = False, **result: Any) -> None:
        """Let a task of a node fail."""
        if not ignored:
            self.stats.increment("failures", host)
        self.stats.increment("ok", host)
        self.callback.v2_runner_on_failed(_result(host, result), ignore_errors=ignored)

    def unreachable(self, host: str, message: str) -> None:
        """Let a node be away."""
        self.stats.increment("dark", host)
        self.callback.v2_runner_on_unreachable(_result(host, {"msg": message}))

    def report(self, host: str, **report: Any) -> None:
        """What the roles set of a node."""
        self.stats.update_custom_stats("watcher", report, host)

    def lines(self) -> list[str]:
        """What is printed at the end."""
        self._told.clear()
        self.callback.v2_playbook_on_stats(self.stats)
        return self._told


def _result(host: str, result: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(_host=SimpleNamespace(get_name=lambda: host), _result=result)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run whose last lines are kept."""
    told: list[str] = []

    def keep(_: Display, line: str, *__: Any, **___: Any) -> None:
        told.append(line)

    monkeypatch.setattr(Display, "display", keep)
    yield Run(told)


def _status(**changes: Any) -> dict[str, Any]:
    agent = {
        "active": "active",
        "ready": True,
        "problems": [],
        "spool_events": 0,
        "last_event_at": "2026-03-02T01:00:00Z",
    }
    status: dict[str, Any] = {
        "release": "0.2.0",
        "agents": {"filemon": agent | changes, "procmon": agent | {"last_event_at": None}},
        "mounts": {"/watcher/codes": {"state": "mounted"}, "/watcher/snapshots": {"state": "mounted"}},
        "problems": [],
    }
    return status


def test_a_node_that_failed_is_told_with_its_reason(run: Run) -> None:
    """The last reason, on one line, with the node's name."""
    run.failed("worker-1", msg="the first\n  reason")
    run.failed("worker-1", msg="no\n  BTF")
    assert run.lines()[-1] == "worker-1: no BTF"
    assert run.lines()[-2].split() == ["worker-1", "FAILED"]


def test_a_reason_that_names_the_node_is_not_named_twice(run: Run) -> None:
    """The roles' own messages begin with the node's name."""
    run.failed("worker-1", msg="worker-1: filemon is not ready")
    assert run.lines()[-1] == "worker-1: filemon is not ready"


def test_without_a_message_what_the_program_said_counts(run: Run) -> None:
    """A command that failed has its standard error."""
    run.failed("worker-1", stderr="No space left on device")
    assert run.lines()[-1] == "worker-1: No space left on device"


def test_an_endless_reason_is_cut(run: Run) -> None:
    """A traceback does not push the table off the screen."""
    run.failed("worker-1", msg="x" * 100_000)
    assert len(run.lines()[-1]) < 5_000


def test_a_failure_that_is_ignored_is_none(run: Run) -> None:
    """What a role expects and goes on from is not told."""
    run.failed("worker-1", ignored=True, msg="expected")
    assert [line.split() for line in run.lines()[-2:]] == [["NODE", "RESULT"], ["worker-1", "ok"]]


def test_a_node_that_is_away_is_told(run: Run) -> None:
    """As unreachable, with what ssh said."""
    run.unreachable("worker-1", "Connection timed out")
    lines = run.lines()
    assert lines[-2].split() == ["worker-1", "unreachable"]
    assert lines[-1] == "worker-1: unreachable: Connection timed out"


def test_an_installation_has_a_line_a_node(run: Run) -> None:
    """From which release to which, how long the proofs took, whether the mount is shared; and no empty column."""
    for host, changed in (("worker-2", 0), ("worker-1", 12)):
        run.well(host, changed)
        run.report(host, before="0.1.0", release="0.2.0", mount="shared with 3 pods", verified_filemon="2.1 s")
    assert run.lines()[-3:] == [
        "NODE      RESULT      RELEASE         FILEMON          MOUNT",
        "worker-1  changed 12  0.1.0 -> 0.2.0  proved in 2.1 s  shared with 3 pods",
        "worker-2  ok          0.1.0 -> 0.2.0  proved in 2.1 s  shared with 3 pods",
    ]


def test_a_release_that_stays_is_named_once(run: Run) -> None:
    """No arrow from a release to itself."""
    run.well("worker-1")
    run.report("worker-1", before="0.2.0", release="0.2.0")
    assert run.lines()[-1].split() == ["worker-1", "ok", "0.2.0"]


def test_a_status_is_a_table_of_the_nodes_own_words(run: Run) -> None:
    """Release, agents, mount, what waits and the newest event of both agents."""
    run.well("worker-1")
    run.report("worker-1", status=_status(spool_events=7))
    assert run.lines()[-1].split() == [
        "worker-1",
        "ok",
        "0.2.0",
        "well",
        "well",
        "mounted",
        "7",
        "2026-03-02T01:00:00Z",
    ]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"active": "failed"}, "failed"),
        ({"ready": False}, "not ready"),
        ({"problems": ["the backend does not answer"]}, "PROBLEM"),
    ],
)
def test_an_agent_that_is_not_well_is_told(run: Run, changes: dict[str, Any], word: str) -> None:
    """In one word; "active" alone does not count as well."""
    run.well("worker-1")
    run.report("worker-1", status=_status(**changes))
    assert word in "\n".join(run.lines())


def test_what_is_wrong_with_an_agent_is_told_below_the_table(run: Run) -> None:
    """Node, agent, problem."""
    run.well("worker-1")
    run.report("worker-1", status=_status(problems=["the backend does not answer"]))
    assert run.lines()[-1] == "worker-1: filemon: the backend does not answer"


def test_a_mount_that_hangs_is_told(run: Run) -> None:
    """With its mount point, instead of "mounted"."""
    run.well("worker-1")
    status = _status()
    status["mounts"]["/watcher/codes"]["state"] = "hung"
    run.report("worker-1", status=status)
    assert "/watcher/codes hung" in run.lines()[-1]


def test_what_concerns_no_single_node_is_told_last(run: Run) -> None:
    """Nodes of the cluster without a live agent."""
    run.well("worker-1")
    run.stats.update_custom_stats("watcher_notes", ["cluster node worker-9: no live agent"])
    assert run.lines()[-1] == "cluster node worker-9: no live agent"


def test_the_heading_says_which_playbook_ran(run: Run) -> None:
    """So that a ticket tells what was done and when."""
    run.well("worker-1")
    assert any("WATCHER site.yml 20" in line and " UTC, " in line for line in run.lines())
