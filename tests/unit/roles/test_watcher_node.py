"""What the roles decide by is what is on the node."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unit.roles.loading import ROLES, load

watcher_node = load("common/library/watcher_node.py")


def _release(root: Path, version: str, archive: str | None, seconds: int = 0) -> None:
    directory = root / "releases" / version
    directory.mkdir(parents=True)
    if archive is not None:
        marker = directory / watcher_node.MARKER
        marker.write_text(f"{archive}\n")
        os.utime(marker, (seconds, seconds))


def test_complete_releases_are_listed_oldest_first(tmp_path: Path) -> None:
    """By when they were installed, whatever they are called; each with its archive's checksum."""
    _release(tmp_path, "0.10.0", "aa", 200)
    _release(tmp_path, "0.9.0", "bb", 300)
    _release(tmp_path, "0.1.0", "cc", 100)
    assert list(watcher_node.releases(str(tmp_path))["releases"].items()) == [
        ("0.1.0", "cc"),
        ("0.10.0", "aa"),
        ("0.9.0", "bb"),
    ]


def test_a_release_that_was_not_installed_to_its_end_does_not_count(tmp_path: Path) -> None:
    """Without the marker, which is written last, it is as good as not there."""
    _release(tmp_path, "0.1.0", None)
    assert watcher_node.releases(str(tmp_path))["releases"] == {}


def test_current_and_previous_are_read_from_their_links(tmp_path: Path) -> None:
    """By the version that they lead to."""
    (tmp_path / "current").symlink_to("releases/0.2.0")
    (tmp_path / "previous").symlink_to("releases/0.1.0")
    found = watcher_node.releases(str(tmp_path))
    assert (found["current"], found["previous"]) == ("0.2.0", "0.1.0")


def test_a_bare_node_has_no_release(tmp_path: Path) -> None:
    """Nothing is there, and that is no error."""
    found = watcher_node.releases(str(tmp_path / "opt"))
    assert found == {"releases": {}, "current": None, "previous": None}


def test_the_running_release_is_where_the_process_was_started(tmp_path: Path) -> None:
    """Also after `current` has moved on: the directory is the process's own."""
    for version in ("0.1.0", "0.2.0"):
        _release(tmp_path, version, "aa")
    current = tmp_path / "current"
    current.symlink_to("releases/0.1.0")
    with subprocess.Popen(["sleep", "60"], cwd=current) as process:
        try:
            current.unlink()
            current.symlink_to("releases/0.2.0")
            assert watcher_node.running_release(str(process.pid)) == "0.1.0"
        finally:
            process.kill()
    assert watcher_node.running_release(str(process.pid)) is None


def test_a_service_without_a_process_runs_no_release() -> None:
    """Systemd says 0 for the process of a service that does not run."""
    assert watcher_node.running_release("0") is None


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_is_listened_on_is_found(family: socket.AddressFamily, address: str) -> None:
    """On IPv4 and IPv6; and it is free again when it is closed."""
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        assert port in watcher_node.listening_ports()
    assert port not in watcher_node.listening_ports()


def test_free_space_is_that_of_the_nearest_directory(tmp_path: Path) -> None:
    """Of a path that is yet to be made: of the file system in which it will be."""
    state = os.statvfs(tmp_path)
    found = watcher_node.free_bytes(str(tmp_path / "not" / "yet"))
    assert 0 < found <= state.f_blocks * state.f_frsize


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """A kernel without lockdown, a system without os-release: nothing to read, no error."""
    assert watcher_node.read(str(tmp_path / "none")) == ""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Ansible gets from the module, run on this machine in check mode."""
    directory = tmp_path_factory.mktemp("ansible")
    (directory / "ansible.cfg").write_text("[defaults]\n")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible"),
            "localhost",
            *("--connection", "local", "--check", "--module-path", str(ROLES / "common" / "library")),
            *("--module-name", "watcher_node"),
            *("--args", json.dumps({"packages": ["no-such-package", "util-linux"], "units": ["no-such.service"]})),
            *("--tree", str(directory / "answers")),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(directory / "ansible.cfg"), "ANSIBLE_HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads((directory / "answers" / "localhost").read_text())
    assert answer["changed"] is False
    found: dict[str, Any] = answer["node"]
    return found


def test_packages_that_are_missing_are_named(node: dict[str, Any]) -> None:
    """Those that dpkg does not have, and no other."""
    assert node["missing_packages"] == ["no-such-package"]


def test_the_interpreter_of_the_distribution_is_asked(node: dict[str, Any]) -> None:
    """The virtual environment is made from it, whatever Ansible itself runs with."""
    said = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"Python {'.'.join(map(str, node['python']))}\n"


def test_a_unit_that_is_not_there_does_not_run(node: dict[str, Any]) -> None:
    """It is not found, whether or not systemd manages this machine."""
    unit = node["units"]["no-such.service"]
    assert unit == {"load": "not-found", "active": "inactive", "enabled": False, "release": None}


def test_the_kernel_is_what_it_says_it_is(node: dict[str, Any]) -> None:
    """Release, processor, type information, and the limits that a mount role raises."""
    assert (node["kernel"], node["machine"]) == (os.uname().release, os.uname().machine)
    assert node["btf"] is Path("/sys/kernel/btf/vmlinux").exists()
    assert node["inotify"]["max_user_watches"] == int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())


def test_the_distribution_is_what_it_calls_itself(node: dict[str, Any]) -> None:
    """By which the roles know whether they can install packages."""
    assert f"ID={node['distribution']['id']}\n" in Path("/etc/os-release").read_text()
