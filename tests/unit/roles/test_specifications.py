"""What a role says of its variables is what it does, and what the documentation and the example say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from unit.roles.loading import ROLES
from unit.roles.specifications import NAMES, defaults, options
from watcher_agents.filemon.rules import load_rules as load_filemon_rules
from watcher_agents.procmon.rules import load_rules as load_procmon_rules

_REPOSITORY = ROLES.parent
_EXAMPLE = sorted((_REPOSITORY / "inventory" / "example" / "group_vars" / "all").glob("*.yml"))
_CHOICE_NOT_MADE = re.compile(r"^# (?=[a-z][a-z0-9_]*:|  )", re.MULTILINE)
_OF_PLAYBOOKS = {"watcher_serial", "watcher_workers_from_cluster"}


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """Every choice of the example inventory, those too that it leaves as comments."""
    choices: dict[str, Any] = {}
    for path in _EXAMPLE:
        choices |= yaml.safe_load(_CHOICE_NOT_MADE.sub("", path.read_text()))
    return choices


@pytest.mark.parametrize("role", NAMES)
def test_specification_and_defaults_are_the_same(role: str) -> None:
    """Neither has a variable, or a default, that the other has not."""
    assert {name: option.get("default") for name, option in options(role).items()} == defaults(role)


@pytest.mark.parametrize("role", NAMES)
def test_every_variable_is_described_and_typed(role: str) -> None:
    """An operator finds what it takes and what it means."""
    wanting = [
        name for name, option in options(role).items() if not (option.get("description") and option["type"])
    ]
    assert wanting == []


@pytest.mark.parametrize("role", NAMES)
def test_a_variable_says_whose_it_is(role: str) -> None:
    """Names begin with the role's, so that none of two roles are the same."""
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []


def test_the_documentation_has_what_the_roles_say() -> None:
    """docs/ansible.md's tables are up to date."""
    done = subprocess.run(
        [sys.executable, _REPOSITORY / ".ci" / "role_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_names_every_variable(example: dict[str, Any]) -> None:
    """Whoever copies it sees every choice that there is."""
    assert [name for role in NAMES for name in options(role) if name not in example] == []


def test_the_example_names_nothing_else(example: dict[str, Any]) -> None:
    """Each of its choices is one that a role or a playbook reads."""
    known = {name for role in NAMES for name in options(role)}
    assert [name for name in example if name not in known | _OF_PLAYBOOKS] == []


def test_the_local_inventory_sets_what_roles_read() -> None:
    """A variable that is renamed is renamed there, too."""
    known = {name for role in NAMES for name in options(role)}
    local = yaml.safe_load((_REPOSITORY / "inventory" / "local" / "group_vars" / "all.yml").read_text())
    assert set(local) - known - _OF_PLAYBOOKS == set()


@pytest.mark.parametrize("role", NAMES)
def test_every_choice_of_the_example_can_be_made(role: str, example: dict[str, Any]) -> None:
    """A line that loses its # is of the type, and one of the choices, that the role takes."""
    specification = {
        name: {key: option[key] for key in ("type", "choices", "elements") if key in option}
        for name, option in options(role).items()
    }
    made = {name: example[name] for name in specification}
    assert ArgumentSpecValidator(specification).validate(made).error_messages == []


def test_the_examples_rules_are_taken(tmp_path: Path, example: dict[str, Any]) -> None:
    """The agents read the rules that the example shows."""
    for name, load in (("filemon_rules", load_filemon_rules), ("procmon_rules", load_procmon_rules)):
        path = tmp_path / f"{name}.yml"
        path.write_text(yaml.safe_dump(example[name]))
        load(path)
