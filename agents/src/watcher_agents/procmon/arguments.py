"""Tells options, their values and the other arguments of a command line apart."""

from collections.abc import Collection, Sequence

from watcher_agents.procmon.rules import RunRule

_STDIN = "-"


def positional_arguments(arguments: Sequence[str], options_with_value: Collection[str]) -> list[str]:
    """The arguments that are neither options nor values of the options that take the next argument as theirs.

    After `--` there are no options. `-`, standard input, is none of these.
    """
    positional: list[str] = []
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        if argument == "--":
            positional.extend(arguments[index + 1 :])
            break
        if not argument.startswith("-"):
            positional.append(argument)
        elif argument in options_with_value:
            index += 1
        index += 1
    return positional


def script_argument(arguments: Sequence[str], rule: RunRule) -> str | None:
    """The script that an interpreter is given, None where its program comes from elsewhere."""
    index = 0
    subcommands = rule.subcommands
    while index < len(arguments):
        argument = arguments[index]
        index += 1
        if argument == "--":
            return arguments[index] if index < len(arguments) else None
        if argument == _STDIN:
            return None
        if not argument.startswith("-"):
            if not subcommands:
                return argument
            if argument not in subcommands:
                return None
            subcommands = frozenset()
            continue
        option, value_follows = _option(argument, rule)
        if option in rule.without_script:
            return None
        if option in rule.script_options:
            return arguments[index] if value_follows and index < len(arguments) else None
        if value_follows:
            index += 1
    return None


def _option(argument: str, rule: RunRule) -> tuple[str, bool]:
    """The option that decides in `argument`, and whether the next argument is its value.

    Short options written together are read one by one until one takes the rest, or the next argument, as value.
    """
    takes_value = rule.options_with_value | rule.script_options
    if argument.startswith("--") or not rule.clustered_options or argument in takes_value:
        return argument, argument in takes_value
    for position, letter in enumerate(argument[1:], start=1):
        option = f"-{letter}"
        if option in rule.without_script:
            return option, False
        if option in takes_value:
            return option, position == len(argument) - 1
    return argument, False
