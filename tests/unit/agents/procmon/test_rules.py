"""Rules are read whole or refused with what is wrong and what would be right."""

from pathlib import Path

import pytest

from watcher_agents.procmon.rules import Rules, load_rules
from watcher_agents.rules_file import RulesError

MINIMAL = """
assignment: 'hw[0-9]'
project_directory: /home/coder/project/
builds:
  gcc: {binary: gcc, sources: [.c], options_with_value: [-o]}
runs:
  python: {binary: 'python[0-9.]*', without_script: [-c], clustered_options: true}
"""


def names(rules: Rules) -> tuple[list[str], list[str]]:
    return [rule.process_type for rule in rules.builds], [rule.process_type for rule in rules.runs]


def test_defaults_are_valid_and_complete() -> None:
    """What a node does without a file of its own."""
    rules = load_rules()
    builds, runs = names(rules)
    assert builds == ["gcc", "g++", "clang", "cc", "javac", "rustc", "go"]
    assert runs[:3] == ["python", "node", "java"]
    assert [
        name for name in ("hw0", "hw10", "hw20", "hw21", "hw01", "hw", "xhw1") if rules.assignment.fullmatch(name)
    ] == [
        "hw0",
        "hw10",
        "hw20",
    ]
    assert rules.project_directory == "/home/coder/project"


def test_what_the_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    """A site that only numbers its assignments otherwise says only that."""
    path = tmp_path / "procmon.yml"
    path.write_text("assignment: 'lab[0-9]'\n")
    rules = load_rules(path)
    assert rules.assignment.fullmatch("lab1")
    assert names(rules) == names(load_rules())
    path.write_text("")
    assert load_rules(path) == load_rules()


def test_a_key_in_the_file_takes_the_place_of_the_default(tmp_path: Path) -> None:
    """A file of the same form, the slash at the path's end taken off, a rule's keys that are not there empty."""
    path = tmp_path / "procmon.yml"
    path.write_text(MINIMAL)
    rules = load_rules(path)
    assert names(rules) == (["gcc"], ["python"])
    assert rules.project_directory == "/home/coder/project"
    assert (rules.builds[0].subcommands, rules.builds[0].packages) == (frozenset(), False)
    assert rules.runs[0].clustered_options


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("assignment:", "assignments:"), "assignments is 'hw[0-9]': no such key; known are assignment, builds"),
        (("'hw[0-9]'", "'hw[0-9'"), "assignment is 'hw[0-9': must be a regular expression"),
        (("'hw[0-9]'", "7"), "assignment is 7: must be a string"),
        (("/home/coder/project/", "home"), "project_directory is 'home': must be an absolute path"),
        (("/home/coder/project/", "/"), "project_directory is '/': must be an absolute path"),
        (("sources: [.c]", "sources: []"), "builds.gcc.sources is []: must be a list of extensions such as .c"),
        (("sources: [.c], ", ""), "builds.gcc.sources is []: must be a list of extensions"),
        (("sources: [.c]", "sources: [c]"), "builds.gcc.sources is 'c': must be a list of extensions such as .c"),
        (("sources: [.c]", "sources: .c"), "builds.gcc.sources is '.c': must be a list of extensions"),
        (("[-o]", "[o]"), "builds.gcc.options_with_value is 'o': must be a list of options such as -o"),
        (("[-o]", "[-o, 3]"), "builds.gcc.options_with_value is 3: must be a list of options"),
        (("binary: gcc", "binary: 'g++)'"), "builds.gcc.binary is 'g++)': must be a regular expression"),
        (("binary: gcc,", ""), "builds.gcc.binary is None: must be a string"),
        (
            ("clustered_options: true", "clustered_options: 1"),
            "runs.python.clustered_options is 1: must be true or false",
        ),
        (
            ("without_script", "without"),
            "runs.python.without is ['-c']: no such key; known are binary, clustered_options",
        ),
        (("  gcc: {", "  'g c c': {"), "builds.g c c is 'g c c': a name of 1 to 32"),
        (
            ("  python: {", "  binary: {"),
            "runs.binary is 'binary': a name of 1 to 32 of A-Z a-z 0-9 _ + . -, other than \"binary\"",
        ),
        (("  gcc: {", "  3: {"), "builds is 3: must be a string (in quotes)"),
        (("builds:\n", "builds: 5\nx:\n"), "x is {"),
        (("runs:\n", "runs: [\n"), "is not YAML: "),
    ],
)
def test_mistake_is_named_with_key_value_and_remedy(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    """One line: the file, the key, the value, what would be right."""
    content = MINIMAL.replace(*change)
    assert content != MINIMAL
    path = tmp_path / "procmon.yml"
    path.write_text(content)
    with pytest.raises(RulesError) as refused:
        load_rules(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["- a\n", "just text"])
def test_document_that_is_no_mapping_is_refused(content: str, tmp_path: Path) -> None:
    """Text that YAML can read is not yet a rules file."""
    (tmp_path / "procmon.yml").write_text(content)
    with pytest.raises(RulesError, match=r"the document is .*: must be a mapping"):
        load_rules(tmp_path / "procmon.yml")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or not text."""
    with pytest.raises(RulesError, match=r"procmon\.yml: cannot be read: No such file"):
        load_rules(tmp_path / "procmon.yml")
    (tmp_path / "procmon.yml").write_bytes(b"a: \xff")
    with pytest.raises(RulesError, match="byte 3 is not UTF-8"):
        load_rules(tmp_path / "procmon.yml")


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    """A rules file is data: a tag that would call Python is a mistake."""
    (tmp_path / "procmon.yml").write_text("assignment: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(RulesError, match="is not YAML"):
        load_rules(tmp_path / "procmon.yml")
