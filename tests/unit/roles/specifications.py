"""What the roles say of their variables, and what they set them to."""

from typing import Any

import yaml

from unit.roles.loading import ROLES

NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def options(role: str) -> dict[str, dict[str, Any]]:
    """The role's variables by name, as its specification has them."""
    specification = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    found: dict[str, dict[str, Any]] = specification["argument_specs"]["main"]["options"]
    return found


def defaults(role: str) -> dict[str, Any]:
    """The role's variables with their defaults."""
    found: dict[str, Any] = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    return found
