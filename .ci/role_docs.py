#!/usr/bin/env python3
"""Writes the tables of the roles' variables in docs/ansible.md from the roles' own specifications.

    .venv/bin/python .ci/role_docs.py            # the tables anew
    .venv/bin/python .ci/role_docs.py --check    # changes nothing; 1 where a table is not what the role says

A table stands between `<!-- variables of ROLE -->` and `<!-- end of variables -->`. What a variable is called,
takes and means is in the role's meta/argument_specs.yml and nowhere else.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

_REPOSITORY = Path(__file__).resolve().parent.parent
_TABLE = re.compile(r"(?<=<!-- variables of )([a-z_]+)( -->\n).*?(?=<!-- end of variables -->)", re.DOTALL)
_MARKUP = re.compile(r"\bC\(([^)]*)\)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; 0 after success, 1 where a table is not up to date or a role has none."""
    parser = argparse.ArgumentParser(prog="role_docs.py", description="Writes the tables of the roles' variables.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail where a table is old")
    options = parser.parse_args(arguments)
    document = _REPOSITORY / "docs" / "ansible.md"
    roles = _REPOSITORY / "roles"
    text = document.read_text()
    missing = {path.name for path in roles.iterdir() if path.is_dir()} - {name for name, _ in _TABLE.findall(text)}
    if missing:
        sys.stderr.write(f"role_docs: {document}: expected `<!-- variables of {min(missing)} -->` and its end\n")
        return 1
    written = _TABLE.sub(lambda match: match[1] + match[2] + table(roles / match[1]), text)
    if options.check and written != text:
        sys.stderr.write(f"role_docs: {document}: the tables are not what the roles say: run `make docs`\n")
        return 1
    if not options.check:
        document.write_text(written)
    return 0


def table(role: Path) -> str:
    """The Markdown table of a role's variables, in the order of its specification."""
    specification = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())
    lines = ["| variable | takes | default | what it means |", "|---|---|---|---|"]
    for name, option in specification["argument_specs"]["main"]["options"].items():
        cells = [f"`{name}`", _takes(option), _default(option.get("default")), _meaning(option["description"])]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _takes(option: dict[str, Any]) -> str:
    if "choices" in option:
        return ", ".join(f"`{choice}`" for choice in option["choices"])
    return f"list of {option['elements']}" if option["type"] == "list" else str(option["type"])


def _default(value: Any) -> str:
    if value == "":
        return "empty"
    if isinstance(value, str):
        # A template's line breaks mean nothing.
        return f"`{' '.join(value.split())}`"
    return f"`{json.dumps(value)}`"


def _meaning(description: str | list[str]) -> str:
    text = description if isinstance(description, str) else " ".join(description)
    return _MARKUP.sub(r"`\1`", " ".join(text.split()))


if __name__ == "__main__":
    sys.exit(main())
