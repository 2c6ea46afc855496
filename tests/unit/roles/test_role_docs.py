"""A role's table says of each variable what an operator has to know, in a form that Markdown keeps."""

from pathlib import Path

import pytest

from unit.roles.loading import load

role_docs = load("../.ci/role_docs.py")


@pytest.mark.parametrize(
    ("option", "cells"),
    [
        ("{type: int, default: 3, description: Seconds.}", "int | `3` | Seconds."),
        ("{type: str, default: '', description: Its name.}", "str | empty | Its name."),
        ("{type: bool, default: false, description: Whether.}", "bool | `false` | Whether."),
        (
            "{type: str, choices: [a, b], default: a, description: One of them.}",
            "`a`, `b` | `a` | One of them.",
        ),
        ("{type: list, elements: str, default: [], description: Some.}", "list of str | `[]` | Some."),
        (
            "{type: dict, default: {cpu: '2'}, description: [First., Then.]}",
            'dict | `{"cpu": "2"}` | First. Then.',
        ),
        (
            "{type: str, default: \"{{ a\\n  | first }}\", description: 'As C(make x) | y does.'}",
            "str | `{{ a \\| first }}` | As `make x` \\| y does.",
        ),
    ],
    ids=["number", "empty", "truth", "choice", "list", "dictionary", "template and markup"],
)
def test_a_variable_is_a_row(tmp_path: Path, option: str, cells: str) -> None:
    """What it takes, its default and what it means, on one line."""
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "argument_specs.yml").write_text(
        f"argument_specs: {{main: {{options: {{role_thing: {option}}}}}}}"
    )
    assert role_docs.table(tmp_path).splitlines()[2:] == [f"| `role_thing` | {cells} |"]
