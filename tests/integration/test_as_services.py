"""The agents as systemd runs them: what they tell it and its journal, and what a reload does."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.pod import PROJECT, Pod
from lab.stack import Program, Stack
from lab.student_day import HOSTNAME, WORKSPACE
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace

BIN = Path(sys.executable).parent


class Systemd:
    """A socket of systemd's, and all that an agent told there."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(address))
        self._told: list[str] = []

    def told(self) -> list[str]:
        """Everything so far, oldest first."""
        while True:
            try:
                self._told.append(self._socket.recv(8192).decode())
            except BlockingIOError:
                return self._told

    def statuses(self) -> list[str]:
        """The status lines so far."""
        return [word.removeprefix("STATUS=") for word in self.told() if word.startswith("STATUS=")]

    def status(self) -> str:
        """The line that `systemctl status` would show now."""
        return self.statuses()[-1]

    def count(self, word: str) -> int:
        """How often it was told this."""
        return self.told().count(word)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(tmp_path / "notify")
    yield listening
    listening.close()


@pytest.fixture
def stack(systemd: Systemd, tmp_path: Path) -> Iterator[Stack]:
    """Nothing runs yet; the agents will have rules of the test's own, and a watchdog of one second."""
    (tmp_path / "rules.yml").write_text("")
    with Stack(
        NOTIFY_SOCKET=str(systemd.address),
        WATCHDOG_USEC="1000000",
        WATCHER_RULES_FILE=str(tmp_path / "rules.yml"),
    ) as prepared:
        yield prepared


def run(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run one of the programs, which is expected to end by itself."""
    return subprocess.run(
        [BIN / command[0], *command[1:]], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("program", ["filemon", "procmon"])
def test_readiness_is_told_with_the_line_that_says_so_and_the_end_when_it_comes(
    stack: Stack, systemd: Systemd, program: Program
) -> None:
    stack.start(program)
    wait_for(lambda: "READY=1" in systemd.told(), "readiness")
    told = systemd.told()
    work = {
        "filemon": "watching 0 workspaces, 1 directories",
        "procmon": "following 0 processes of students' pods",
    }
    assert [word for word in told if word != "WATCHDOG=1"] == [
        f"STATUS={work[program]}; 0 events wait; no event yet",
        "READY=1",
    ]
    assert stack.metric(program, "watcher_ready") == 1
    stack.stop(program)
    assert systemd.told()[-1] == "STOPPING=1"


def test_an_agent_that_cannot_start_is_never_ready(stack: Stack, systemd: Systemd) -> None:
    environment = {**stack.environment("filemon"), "WATCHER_WATCH_ROOT": "/nowhere"}
    assert run(["watcher-filemon"], environment).returncode == 2
    assert systemd.told() == []


def test_the_status_tells_of_a_backend_that_is_gone_until_it_is_back(stack: Stack, systemd: Systemd) -> None:
    stack.start("filemon")
    workspace = RecordedWorkspace(stack)
    (workspace.assignment / "a.c").write_text("int a;")
    wait_for(lambda: systemd.status().startswith("PROBLEM backend failing for "), "the problem")
    assert "ConnectError" in systemd.status()
    assert "nothing is lost | watching 1 workspaces, 3 directories; 1 events wait; last event" in systemd.status()
    stack.start("backend")
    wait_for(lambda: systemd.status().startswith("watching 1 workspaces, "), "the problem to be over", 60.0)
    assert "; 0 events wait; last event " in systemd.status()


def test_a_stop_while_the_backend_does_not_answer_is_in_order_and_loses_nothing(
    stack: Stack, systemd: Systemd
) -> None:
    with socket.create_server(("127.0.0.1", stack.port)) as silent:
        stack.start("filemon")
        workspace = RecordedWorkspace(stack)
        (workspace.assignment / "a.c").write_text("int a;")
        connection, _ = silent.accept()
        stack.stop("filemon")
        connection.close()
    assert systemd.told()[-1] == "STOPPING=1"
    stack.start("backend", "filemon")
    workspace.wait_for_content(Path("a.c"), b"int a;")
    assert workspace.changes() == [("a.c", "created")]


CATASTROPHE = "assignment_pattern: (a+)+b\n"
"""Matching this with a row of a takes for ever, and Python does nothing else meanwhile."""


def test_signs_of_life_keep_coming_while_nothing_happens_and_end_when_the_agent_does_not_get_on(
    stack: Stack, systemd: Systemd, tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(CATASTROPHE)
    stack.start("filemon")
    wait_for(lambda: systemd.count("WATCHDOG=1") >= 3, "signs of life")
    stuck_at = stack.workspaces / "os-1-7"
    stuck_at.mkdir()
    wait_for(lambda: stack.metric("filemon", "watcher_inotify_watches") == 2, "the workspace to be watched")
    (stuck_at / ("a" * 40)).mkdir()
    wait_for(lambda: _is_silent(systemd), "silence")


def _is_silent(systemd: Systemd) -> bool:
    """Whether no sign of life comes for as long as the watchdog waits."""
    before = systemd.count("WATCHDOG=1")
    time.sleep(1.0)
    return systemd.count("WATCHDOG=1") == before


def test_a_reload_changes_what_filemon_records_and_wrong_rules_change_nothing(
    stack: Stack, systemd: Systemd, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    stack.start("backend", "filemon")
    workspace = RecordedWorkspace(stack)
    (workspace.assignment / "first.c").write_text("first")
    workspace.wait_for_content(Path("first.c"), b"first")
    lab = workspace.directory / "lab1"
    lab.mkdir()
    (lab / "old.md").write_text("saved before the rules took it in")
    (lab / "old.c").write_text("the same, but no Markdown")

    rules.write_text("assignment_pattern: lab[0-9]\nextensions: [.md]\n")
    reload(stack, systemd, "filemon")
    found = wait_for(lambda: [event for event in workspace.events() if event["filename"] == "old.md"], "old.md")
    assert found[0]["recovered"]
    (lab / "new.md").write_text("saved under the new rules")
    (workspace.assignment / "second.c").write_text("no longer of interest")
    wait_for(lambda: len(workspace.events()) == 3, "new.md")

    rules.write_text("extensions: .c\n")
    reload(stack, systemd, "filemon")
    fault = f"{rules}: extensions is '.c': must be a list of extensions such as .c"
    assert f"PROBLEM rules not reloaded, the former stay: {fault}" in systemd.status()
    errors = [line for line in stack.log_text("filemon").splitlines() if " - ERROR - " in line]
    assert [line.partition(" - agent - ")[2] for line in errors] == [
        f"rules not reloaded, the former stay: {fault}"
    ]
    (lab / "newer.md").write_text("saved under the same rules")
    wait_for(lambda: len(workspace.events()) == 4, "newer.md")

    rules.write_text("extensions: [.c]\n")
    reload(stack, systemd, "filemon")
    assert not systemd.status().startswith("PROBLEM")
    workspace.wait_for_events(5)
    assert [name for name, _ in workspace.changes()] == ["first.c", "old.md", "new.md", "second.c", "newer.md"]


def test_a_reload_changes_what_procmon_records_and_wrong_rules_change_nothing(
    stack: Stack, systemd: Systemd, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    stack.start("backend", "procmon")

    def recorded() -> list[str]:
        return [event["type"] for event in stack.events()]

    with Pod(HOSTNAME, stack.workspaces / WORKSPACE) as pod:
        pod.run("mkdir hw1; echo 'raise SystemExit(0)' > hw1/a.py")
        pod.run("python3 a.py", f"{PROJECT}/hw1")
        wait_for(lambda: recorded() == ["run"], "the run")
        rules.write_text("assignment: lab[0-9]\n")
        reload(stack, systemd, "procmon")
        pod.run("python3 a.py", f"{PROJECT}/hw1")
        pod.run("mv hw1 lab1")
        pod.run("python3 a.py", f"{PROJECT}/lab1")
        wait_for(lambda: recorded() == ["run", "run"], "the run in the new assignment")
        rules.write_text("assignment: '['\n")
        reload(stack, systemd, "procmon")
        assert "PROBLEM rules not reloaded, the former stay: " in systemd.status()
        pod.run("python3 a.py", f"{PROJECT}/lab1")
        wait_for(lambda: recorded() == ["run", "run", "run"], "a run under the former rules")
    assert [event["hw_name"] for event in stack.events()] == ["hw1", "lab1", "lab1"]


def reload(stack: Stack, systemd: Systemd, program: Program) -> None:
    """Reload and wait until the agent says that it has."""
    ready = systemd.count("READY=1")
    os.kill(stack.pid(program), signal.SIGHUP)
    wait_for(lambda: systemd.count("READY=1") > ready, "the reload to end")
    last = [word.partition("\n")[0] for word in systemd.told() if word.startswith(("RELOADING", "READY"))][-2:]
    assert last == ["RELOADING=1", "READY=1"]


@pytest.mark.parametrize("program", ["filemon", "procmon"])
def test_settings_and_rules_are_checked_without_a_trace(stack: Stack, tmp_path: Path, program: Program) -> None:
    environment = stack.environment(program)
    command = [f"watcher-{program}", "--check-settings"]
    done = run(command, environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "settings and rules are right\n", "")
    (tmp_path / "rules.yml").write_text("colour: blue\n")
    done = run(command, environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"{tmp_path}/rules.yml: colour is 'blue'")
    assert not (stack.directory / "state").exists()


@pytest.mark.parametrize("program", ["filemon", "procmon"])
def test_under_systemd_its_library_has_to_be_there(stack: Stack, systemd: Systemd, program: Program) -> None:
    """The agent runs as in an environment that does not see the distribution's packages but for BCC's."""
    script = (
        "import sys\n"
        "sys.modules['systemd'] = None\n"
        f"from watcher_agents.{program}.cli import main\n"
        "sys.exit(main())\n"
    )
    done = run([sys.executable, "-c", script], stack.environment(program))
    assert done.returncode == 2
    assert done.stderr.startswith(f"NOTIFY_SOCKET is '{systemd.address}': expected python3-systemd on the node")
    assert done.stderr.count("\n") == 1


IN_THE_JOURNALS_PLACE = """
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/journal
mount --bind "$1" /run/systemd/journal
exec "$2"
"""


def test_an_entry_in_the_journal_has_a_field_for_each_thing_that_is_known(stack: Stack, tmp_path: Path) -> None:
    """The journal's socket is the test's, in a mount namespace of the agent's own."""
    (tmp_path / "journal").mkdir()
    journal = Systemd(tmp_path / "journal" / "socket")
    workspace = stack.workspaces / "os-1-007"
    (workspace / "hw1").mkdir(parents=True)
    command = ["unshare", "--mount", "sh", "-ec", IN_THE_JOURNALS_PLACE, "agent", str(tmp_path / "journal")]
    with (tmp_path / "stderr").open("w") as stderr:
        stream = os.fstat(stderr.fileno())
        environment = {**stack.environment("filemon"), "JOURNAL_STREAM": f"{stream.st_dev}:{stream.st_ino}"}
        agent = subprocess.Popen([*command, BIN / "watcher-filemon"], env=environment, stderr=stderr)
    try:
        stack.start("backend")
        wait_for(lambda: any(" ready: " in entry for entry in journal.told()), "the agent to be ready")
        (workspace / "hw1" / "a.c").write_text("int a;")
        wait_for(lambda: any("API success: " in entry for entry in journal.told()), "the delivery")
    finally:
        agent.terminate()
        assert agent.wait() == 0
    (event,) = stack.events()
    lines = ("event detected: type=created", "snapshot created: path=", "API success: type=snapshot")
    entries = [fields(entry) for entry in journal.told() if any(line in entry for line in lines)]
    assert len(entries) == len(lines)
    for entry, line in zip(entries, lines, strict=True):
        assert entry["MESSAGE"].startswith("os-1-007 - ")
        assert line in entry["MESSAGE"]
        assert entry["PRIORITY"] == "6"
        known = {"WORKSPACE": "os-1-007", "CLASS_DIV": "os-1", "STUDENT_ID": "007", "HW_NAME": "hw1"}
        known |= {"EVENT_ID": event["id"], "SYSLOG_IDENTIFIER": "watcher-filemon"}
        assert {name: entry[name] for name in known} == known
        assert Path(entry["CODE_FILE"]).is_file()
    assert (tmp_path / "stderr").read_text() == ""
    journal.close()


def fields(entry: str) -> dict[str, str]:
    """An entry as its fields (systemd.journal-fields(7), native protocol; none here has several lines)."""
    return dict(line.partition("=")[::2] for line in entry.splitlines())
