"""How `watcher-agent` is called: misuse is told apart from a node that is not well."""

import subprocess
import sys

import pytest

from watcher_agents.node.cli import EXIT_MISUSE, main

COMMAND = [sys.executable, "-m", "watcher_agents.node.cli"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["health"],
        ["verify", "nothing"],
        ["verify", "filemon", "--within", "0"],
        ["health", "filemon", "--within", "soon"],
        ["health", "filemon", "--within", "nan"],
        ["health", "filemon", "--json"],
        ["spool", "filemon"],
        ["spool", "nothing", "list"],
        ["spool", "filemon", "list", "--limit", "0"],
        ["spool", "filemon", "list", "--limit", "all"],
        ["spool", "filemon", "show"],
        ["spool", "filemon", "retry"],
        ["spool", "filemon", "drop", "--yes"],
        ["spool", "filemon", "drop", "0123", "--all", "--yes"],
    ],
)
def test_a_wrong_call_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == EXIT_MISUSE


def test_whoever_is_not_root_is_told_so() -> None:
    user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    done = subprocess.run([*user, *COMMAND, "status"], capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_MISUSE
    assert done.stderr == "watcher-agent: must run as root: it looks into the agents' processes and mounts\n"
