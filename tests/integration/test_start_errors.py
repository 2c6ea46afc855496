"""A program that cannot start says why in one line that an operator can act on."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
URL = {"WATCHER_API_URL": "http://127.0.0.1:1"}


def run(program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / program],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def right(tmp_path: Path) -> dict[str, str]:
    """Settings with which each program would start."""
    for name in ("workspace", "snapshots", "state"):
        (tmp_path / name).mkdir()
    return URL | {
        "DB_URL": f"sqlite:///{tmp_path}/database.db",
        "WATCHER_WATCH_ROOT": str(tmp_path / "workspace"),
        "WATCHER_SNAPSHOT_ROOT": str(tmp_path / "snapshots"),
        "WATCHER_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("watcher-filemon", "WATCHER_API_URL", "nonsense"),
        ("watcher-filemon", "WATCHER_WATCH_ROOT", "/nowhere"),
        ("watcher-filemon", "WATCHER_WORKSPACES", "most"),
        ("watcher-filemon", "WATCHER_STATE_DIR", "/proc/nowhere"),
        ("watcher-procmon", "WATCHER_API_URL", "nonsense"),
        ("watcher-procmon", "WATCHER_METRICS_PORT", "many"),
        ("watcher-procmon", "WATCHER_HOSTNAME_PREFIX", "JCODE_"),
        ("watcher-procmon", "WATCHER_CA_FILE", "/etc/hostname"),
        ("watcher-backend", "DB_URL", "oracle://database"),
        ("watcher-backend", "WATCHER_PORT", "0"),
        ("watcher-backend", "WATCHER_TIMEZONE", "Asia/Atlantis"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    right: dict[str, str], program: str, name: str, value: str
) -> None:
    done = run(program, right | {name: value})
    lines = [line for line in done.stderr.splitlines() if " - INFO - " not in line]
    assert done.returncode == 2
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"{name} is {value!r}: expected ")


@pytest.mark.parametrize("program", ["watcher-filemon", "watcher-procmon"])
def test_a_wrong_rules_file_stops_the_start_with_one_line(
    right: dict[str, str], program: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("colour: blue\n")
    done = run(program, right | {"WATCHER_RULES_FILE": str(rules)})
    assert done.returncode == 2
    assert done.stderr.startswith(f"{rules}: colour is 'blue'")
    assert done.stderr.count("\n") == 1


def test_a_metrics_port_that_is_taken_is_named(right: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("watcher-filemon", right | {"WATCHER_METRICS_PORT": port})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"WATCHER_METRICS_PORT is '{port}': expected a free port")


@pytest.mark.parametrize("program", ["watcher-filemon", "watcher-procmon", "watcher-backend"])
def test_help_and_version_need_no_settings(program: str) -> None:
    for option, expected in (("--help", "usage:"), ("--version", program)):
        done = subprocess.run([BIN / program, option], capture_output=True, text=True, check=True, env={})
        assert expected in done.stdout


@pytest.mark.parametrize("program", ["watcher-filemon", "watcher-procmon"])
def test_right_settings_are_said_to_be_right(right: dict[str, str], program: str) -> None:
    done = subprocess.run(
        [BIN / program, "--check-settings"],
        env={"PATH": os.environ["PATH"], **right},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "settings and rules are right\n"
