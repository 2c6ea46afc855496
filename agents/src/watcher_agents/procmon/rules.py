"""Which programs count, and as what: rules.yml, or /etc/watcher/procmon.yml of the same form, read and checked."""

import re
from dataclasses import dataclass
from pathlib import Path

from watcher_agents.rules_file import CheckedMapping, read_rules

BINARY = "binary"
_PROCESS_TYPE = re.compile(r"[A-Za-z0-9_+.-]{1,32}")


@dataclass(frozen=True)
class BuildRule:
    """A compiler. The keys are explained in rules.yml."""

    process_type: str
    binary: re.Pattern[str]
    sources: tuple[str, ...]
    options_with_value: frozenset[str]
    not_with: frozenset[str]
    subcommands: frozenset[str]
    packages: bool


@dataclass(frozen=True)
class RunRule:
    """An interpreter. The keys are explained in rules.yml."""

    process_type: str
    binary: re.Pattern[str]
    options_with_value: frozenset[str]
    without_script: frozenset[str]
    script_options: frozenset[str]
    subcommands: frozenset[str]
    clustered_options: bool


@dataclass(frozen=True)
class Rules:
    """All rules; of several that match a binary's name, the first counts."""

    assignment: re.Pattern[str]
    project_directory: str
    builds: tuple[BuildRule, ...]
    runs: tuple[RunRule, ...]


def load_rules(path: Path | None = None) -> Rules:
    """The rules of `path` over the defaults, or the defaults.

    Raises RulesError, which names the file, the key, the value and what would be right; nothing of a file with
    an error comes into force.
    """
    source, document = read_rules(__package__, path)
    top = CheckedMapping(source, "", document, {"assignment", "project_directory", "builds", "runs"})
    return Rules(
        assignment=top.regex("assignment"),
        project_directory=top.absolute_path("project_directory"),
        builds=tuple(_build_rule(name, rule) for name, rule in top.mappings("builds", _BUILD_KEYS)),
        runs=tuple(_run_rule(name, rule) for name, rule in top.mappings("runs", _RUN_KEYS)),
    )


_BUILD_KEYS = {"binary", "sources", "options_with_value", "not_with", "subcommands", "packages"}
_RUN_KEYS = {
    "binary",
    "options_with_value",
    "without_script",
    "script_options",
    "subcommands",
    "clustered_options",
}


def _build_rule(name: str, rule: CheckedMapping) -> BuildRule:
    return BuildRule(
        process_type=_process_type(name, rule),
        binary=rule.regex("binary"),
        sources=rule.strings("sources", required=True, form=re.compile(r"\.[^/]+"), right="extensions such as .c"),
        options_with_value=frozenset(_options(rule, "options_with_value")),
        not_with=frozenset(rule.strings("not_with")),
        subcommands=frozenset(rule.strings("subcommands")),
        packages=rule.boolean("packages"),
    )


def _run_rule(name: str, rule: CheckedMapping) -> RunRule:
    return RunRule(
        process_type=_process_type(name, rule),
        binary=rule.regex("binary"),
        options_with_value=frozenset(_options(rule, "options_with_value")),
        without_script=frozenset(_options(rule, "without_script")),
        script_options=frozenset(_options(rule, "script_options")),
        subcommands=frozenset(rule.strings("subcommands")),
        clustered_options=rule.boolean("clustered_options"),
    )


def _options(rule: CheckedMapping, key: str) -> tuple[str, ...]:
    return rule.strings(key, form=re.compile(r"-.+"), right="options such as -o")


def _process_type(name: str, rule: CheckedMapping) -> str:
    """The rule's name, which the wire contract carries; "binary" is what a student's own program is called."""
    if not _PROCESS_TYPE.fullmatch(name) or name == BINARY:
        raise rule.error("", name, f'a name of 1 to 32 of A-Z a-z 0-9 _ + . -, other than "{BINARY}"')
    return name
