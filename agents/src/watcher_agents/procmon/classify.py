"""What a program counts as, from its executable, arguments and working directory.

What goes to build and what to run is the platform's contract: a compiler with a source in an assignment of the
student's is a build; an interpreter with a script in one, and a program that lies in one itself, is a run.
"""

from watcher_agents.procmon.arguments import positional_arguments, script_argument
from watcher_agents.procmon.assignment import AssignmentFinder, absolute
from watcher_agents.procmon.program_run import Classification, Program
from watcher_agents.procmon.rules import BINARY, BuildRule, Rules, RunRule


def classify(program: Program, rules: Rules) -> Classification | None:
    """What the program counts as, None where it does not.

    Needs nothing that is known only at its end. A program in an assignment that bears a compiler's or an
    interpreter's name, but does nothing of theirs, is still the student's own program.
    """
    finder = AssignmentFinder(rules.assignment, rules.project_directory, program.student)
    name = program.binary_path.rpartition("/")[2]
    for build in rules.builds:
        if build.binary.fullmatch(name):
            found = _build(program, build, finder)
            if found is not None:
                return found
            break
    for run in rules.runs:
        if run.binary.fullmatch(name):
            found = _run(program, run, finder)
            if found is not None:
                return found
            break
    hw_name = finder.below(program.binary_path)
    if hw_name is None:
        return None
    return Classification("run", BINARY, hw_name, program.binary_path)


def _build(program: Program, rule: BuildRule, finder: AssignmentFinder) -> Classification | None:
    arguments = program.argv[1:]
    if not rule.not_with.isdisjoint(arguments):
        return None
    positional = positional_arguments(arguments, rule.options_with_value)
    if rule.subcommands:
        if not positional or positional[0] not in rule.subcommands:
            return None
        positional = positional[1:]
    if rule.packages:
        sources = positional or ["."]
    else:
        sources = [argument for argument in positional if argument.endswith(rule.sources)]
    for source in sources:
        path = absolute(program.cwd, source)
        hw_name = None if path is None else finder.at_or_below(path) if rule.packages else finder.below(path)
        if path is not None and hw_name is not None:
            return Classification("build", rule.process_type, hw_name, path)
    return None


def _run(program: Program, rule: RunRule, finder: AssignmentFinder) -> Classification | None:
    script = script_argument(program.argv[1:], rule)
    path = None if script is None else absolute(program.cwd, script)
    hw_name = None if path is None else finder.at_or_below(path)
    if path is None or hw_name is None:
        return None
    return Classification("run", rule.process_type, hw_name, path)
