"""Releases to roll out, good ones and two that are broken on purpose; three bare nodes to roll them out on."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.release.release_build import copy_checkout
from lab.fixtures import pytest_runtest_makereport
from lab.fleet import Fleet
from lab.node import Node
from lab.playbooks import REPOSITORY, Playbooks

__all__ = ["pytest_runtest_makereport"]

_PACKAGES = ("linux-libc-dev", "python3-bpfcc", "python3-systemd", "python3-venv")
_RELEASE = REPOSITORY / ".ci" / "release.py"
_CLI = "agents/src/watcher_agents/procmon/cli.py"
_MONITOR = "agents/src/watcher_agents/filemon/monitor.py"
_RAISE = '        raise RuntimeError("broken on purpose")\n'


@dataclass(frozen=True)
class Releases:
    """A directory of archives; versions by what is to be expected of them."""

    directory: Path
    first: str = "0.1.0"
    second: str = "0.1.1"
    does_not_start: str = "0.1.2"
    never_ready: str = "0.1.3"

    def archive(self, version: str, what: str = "agents") -> str:
        """The path of an archive."""
        return str(self.directory / f"watcher-{what}-{version}.tar.gz")


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Built from this checkout by the release program."""
    built = Releases(tmp_path_factory.mktemp("releases"))
    _build(built, "all", built.first, REPOSITORY)
    _build(built, "agents", built.second, REPOSITORY)
    for version, file, line, broken in (
        (
            built.does_not_start,
            _CLI,
            "        settings = read",
            _RAISE,
        ),
        (built.never_ready, _MONITOR, "        self._ready()\n", None),
    ):
        source = copy_checkout(tmp_path_factory.mktemp("source") / version)
        text = (source / file).read_text()
        assert text.count(line) == 1, f"{line!r} is no longer what {file} has once"
        (source / file).write_text(text.replace(line, broken + line if broken else ""))
        _build(built, "agents", version, source)
    return built


def _build(releases: Releases, what: str, version: str, source: Path) -> None:
    subprocess.run(
        [sys.executable, _RELEASE, what, "--source", source, "--output", releases.directory, "--version", version],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Three bare nodes of the test's own; the first has a compiler, as a node that a site uses for tests has."""
    with Fleet(nodes=3) as running:
        running["worker-1"].install(["gcc", "libc6-dev"])
        (running.shared / "snapshots").mkdir()
        for node in running.nodes:
            node.run("mkdir --parents /srv/workspace/codes/workspace")
        yield running


@pytest.fixture
def playbooks(fleet: Fleet, releases: Releases, tmp_path: Path) -> Playbooks:
    """The playbooks against the fleet; its first node runs the backend, its last reaches no package mirror."""
    inventory = fleet.inventory(
        tmp_path / "hosts.yml",
        ansible_become=True,
        workspace_mount_workspace_export="/srv/workspace/codes",
        workspace_mount_snapshot_export="/srv/shared/snapshots",
        filemon_workspaces="all",
        # A release that never says that it is ready is to be found out soon.
        filemon_start_timeout=10,
        common_health_seconds=20,
        backend_deployment="service",
        backend_listen_address=fleet["worker-1"].login.address,
        backend_archive=releases.archive(releases.first, "backend"),
        backend_version=releases.first,
    )
    packages = _cut_off(fleet["worker-3"], tmp_path / "packages")
    more = tmp_path / "more.yml"
    more.write_text(
        "backend:\n  hosts:\n    worker-1:\n"
        f"workers:\n  hosts:\n    worker-3:\n      common_deb_folder: {packages}\n"
    )
    return Playbooks(inventory, more)


def _cut_off(node: Node, directory: Path) -> Path:
    """Take a node's package mirrors away; the folder of packages that such a node is installed from."""
    directory.mkdir()
    simulate = f"apt-get --simulate --no-install-recommends install {' '.join(_PACKAGES)}"
    simulated = node.run(f"apt-get update -qq && {simulate}").stdout
    for name in re.findall(r"^Inst (\S+)", simulated, re.MULTILINE):
        (package,) = (node.root / "var/cache/apt/archives").glob(f"{name}_*.deb")
        shutil.copy(package, directory)
    node.run("mount -t tmpfs tmpfs /var/cache/apt/archives && mkdir /var/cache/apt/archives/partial")
    node.run("mount -t tmpfs tmpfs /var/lib/apt/lists && mkdir /var/lib/apt/lists/partial")
    return directory
