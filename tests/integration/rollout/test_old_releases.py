"""A node keeps as many releases as the site says, and never loses the two that count."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.playbooks import REPOSITORY

_PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: common
        tasks_from: prune
"""


@pytest.mark.parametrize(
    ("current", "previous", "kept", "left"),
    [
        ("0.5", "0.4", 3, {"0.3", "0.4", "0.5"}),
        ("0.1", "0.2", 2, {"0.1", "0.2", "0.4", "0.5"}),
        ("0.5", None, 9, {"0.1", "0.2", "0.3", "0.4", "0.5"}),
    ],
)
def test_releases_too_old_for_a_way_back_go(
    tmp_path: Path, current: str, previous: str | None, kept: int, left: set[str]
) -> None:
    """The newest stay, and with them what runs and what ran before, however old."""
    names = ["0.1", "0.2", "0.3", "0.4", "0.5"]
    for name in names:
        (tmp_path / "releases" / name).mkdir(parents=True)
    (tmp_path / "play.yml").write_text(_PLAY)
    variables = {
        "ansible_python_interpreter": sys.executable,
        "common_release_root": str(tmp_path),
        "common_release_version": current,
        "common_releases_kept": kept,
        "common_node": {"releases": dict.fromkeys(names, "sha256"), "current": current, "previous": previous},
    }
    program = Path(sys.executable).parent / "ansible-playbook"
    subprocess.run(
        [program, "--inventory", "localhost,", "--extra-vars", json.dumps(variables), "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_ROLES_PATH": str(REPOSITORY / "roles")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert {path.name for path in (tmp_path / "releases").iterdir()} == left
