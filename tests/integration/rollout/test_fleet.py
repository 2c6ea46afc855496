"""One release goes in, another follows, broken ones come back by themselves, and nothing stays behind."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from integration.rollout.conftest import Releases
from integration.rollout.typing_student import TypingStudent
from lab.file_list import FileList, difference
from lab.fleet import SUDO_PASSWORD, Fleet
from lab.node import Node
from lab.playbooks import Playbooks, Run

WORKERS = ("worker-1", "worker-2", "worker-3")


@pytest.mark.timeout(1500)
def test_a_release_goes_in_is_followed_comes_back_and_goes_out(
    fleet: Fleet, playbooks: Playbooks, releases: Releases, record_property: Any
) -> None:
    """The whole life of an installation on three nodes, each step as an operator does it."""
    bare = {node.name: node.file_list() for node in fleet.nodes}

    def use(version: str) -> dict[str, str]:
        return {"common_release_version": version, "common_release_archive": releases.archive(version)}

    first, second = use(releases.first), use(releases.second)

    playbooks.succeed("site", "--check", "--diff", **first)
    _assert_untouched(fleet, bare)

    installed = playbooks.succeed("site", **first)
    record_property("first install on three nodes, seconds", installed.seconds)
    assert installed.summary.count("proved in") == 2 * len(WORKERS), installed.summary
    again = playbooks.succeed("site", **first)
    record_property("second run, seconds", again.seconds)
    assert {name: again.changed(name) for name in WORKERS} == dict.fromkeys(WORKERS, 0), again.output[-8000:]
    for node in fleet.nodes:
        assert _entries_of_canary(node), f"the journal of {node.name} has no entry by STUDENT_ID"

    with TypingStudent(fleet["worker-2"]) as student:
        upgraded = playbooks.succeed("upgrade", **second)
    record_property("upgrade of three nodes, seconds", upgraded.seconds)
    assert _running(fleet) == dict.fromkeys(WORKERS, releases.second)
    missing = student.missing(_backend(fleet))
    assert missing == [], "saves during the upgrade are not at the backend"
    for agent in ("filemon", "procmon"):
        record_property(f"{agent}: seconds without capture in the upgrade", _gap(fleet["worker-2"], agent))

    for broken, agent in ((releases.does_not_start, "procmon"), (releases.never_ready, "filemon")):
        refused = playbooks.run("upgrade", **use(broken))
        assert refused.exit_code != 0
        assert refused.failed() == {"worker-1"}, refused.output[-8000:]
        assert f"{agent} of release {broken} failed its health gate" in refused.summary
        assert f"release {releases.second} runs again" in refused.summary
        assert _running(fleet) == dict.fromkeys(WORKERS, releases.second)

    wrong_rules = playbooks.run("upgrade", "--limit", "worker-3", **second, filemon_rules={"extensions": "c"})
    assert wrong_rules.exit_code != 0
    assert "extensions" in wrong_rules.output
    assert _running(fleet) == dict.fromkeys(WORKERS, releases.second)

    playbooks.succeed("rollback")
    assert _running(fleet) == dict.fromkeys(WORKERS, releases.first)
    assert _all_well(playbooks.succeed("status"))

    playbooks.succeed("uninstall", common_remove_data=True, backend_remove_data=True)
    _assert_untouched(fleet, bare)


@pytest.mark.timeout(600)
def test_preflight_tells_all_that_is_wrong_on_all_nodes_and_changes_nothing(
    fleet: Fleet, playbooks: Playbooks, releases: Releases, tmp_path: Path
) -> None:
    """Each problem is one clear line with its node's name; what comes after preflight does not run."""
    bare = {node.name: node.file_list() for node in fleet.nodes}
    first, second, third = fleet.nodes
    first.run("mount -t tmpfs -o size=20m tmpfs /opt && mount -t tmpfs tmpfs /sys/kernel/btf")
    (tmp_path / "python3").write_text("#!/bin/sh\necho 3 9 2\n")
    (tmp_path / "python3").chmod(0o755)
    second.login.copy(tmp_path / "python3", "/run/old")
    # What /usr/bin/python3 leads to is old now; Ansible itself goes on with a copy of what it was.
    second.run("cp /usr/bin/python3.11 /run/old/real && mount --bind /run/old/python3 /usr/bin/python3.11")
    third.run(f"echo 'operator:{SUDO_PASSWORD}' | chpasswd")
    third.run("echo 'operator ALL=(ALL) ALL' >/etc/sudoers.d/operator")
    gone = tmp_path / "gone.yml"
    gone.write_text(
        "workers:\n  hosts:\n"
        "    worker-2:\n      ansible_python_interpreter: /run/old/real\n"
        "    worker-9:\n      ansible_host: 127.0.0.1\n      ansible_port: 9\n"
    )
    every_node = Playbooks(*playbooks._inventories, gone)
    run = every_node.run(
        "site",
        common_release_version=releases.first,
        common_release_archive=releases.archive(releases.first),
        procmon_metrics_port="ninety",
        common_api_token_required=True,
        common_api_token="{{ vault_watcher_api_token }}",
    )
    assert run.exit_code != 0
    for node, words in (
        ("worker-1", "/opt has"),
        ("worker-1", "has no BTF"),
        ("worker-1", "'procmon_metrics_port'"),
        ("worker-1", "vault_watcher_api_token"),
        ("worker-2", "/usr/bin/python3 is 3.9.2"),
        ("worker-3", "cannot work as root here"),
        ("worker-9", "unreachable"),
    ):
        lines = [line for line in run.summary.splitlines() if line.startswith(f"{node}: ")]
        assert len(lines) == 1, run.summary
        assert words in lines[0]
    first.run("umount /opt /sys/kernel/btf")
    second.run("umount /usr/bin/python3.11 && rm -r /run/old")
    third.run("passwd --lock operator && echo 'operator ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/operator")
    changed = {path for node in fleet.nodes for path in _changes(node, bare[node.name])}
    assert {path for path in changed if not re.search(r"etc/(shadow|sudoers\.d/operator)", path)} == set()


def _assert_untouched(fleet: Fleet, bare: dict[str, FileList]) -> None:
    for node in fleet.nodes:
        assert _changes(node, bare[node.name]) == [], node.name


def _changes(node: Node, before: FileList) -> list[str]:
    return difference(before, node.file_list())


def _running(fleet: Fleet) -> dict[str, str]:
    """By node, the release that both agents run, in the words of the node's own command."""
    found = {}
    for node in fleet.nodes:
        status = _status(node)
        releases = {agent["release"] for agent in status["agents"].values()} | {status["release"]}
        found[node.name] = " and ".join(sorted(releases))
    return found


def _status(node: Node) -> dict[str, Any]:
    said = node.run("/opt/watcher/current/venv/bin/watcher-agent status --json", check=False).stdout
    status: dict[str, Any] = json.loads(said)
    return status


def _all_well(run: Run) -> bool:
    return all(re.search(rf"^{name} .*\bwell  +well\b", run.summary, re.MULTILINE) for name in WORKERS)


def _entries_of_canary(node: Node) -> str:
    said = node.run("journalctl --unit=watcher-filemon --output=cat --grep='snapshot created' | head -1").stdout
    workspace = said.partition(" ")[0]
    return node.run(f"journalctl --quiet --output=cat STUDENT_ID={workspace.rpartition('-')[2]}").stdout


def _backend(fleet: Fleet) -> str:
    return f"http://{fleet['worker-1'].login.address}:3000"


def _gap(node: Node, agent: str) -> float:
    """Seconds between the last stop and the start after it, by the journal's own clock."""
    said = node.run(f"journalctl --unit=watcher-{agent} --output=json --output-fields=MESSAGE").stdout
    stopped, gap = 0.0, 0.0
    for line in said.splitlines():
        entry = json.loads(line)
        moment = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        if " - stopping: " in entry["MESSAGE"]:
            stopped = moment
        elif " - ready: " in entry["MESSAGE"] and stopped:
            gap, stopped = moment - stopped, 0.0
    return round(gap, 2)
