"""What the tests of procmon play and watch: a student's pod, what a capture hands over, what a probe records."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab.pod import PROJECT, STUDENT_UID, boot_command
from lab.waiting import wait_for
from watcher_agents.procmon.capture import ProcessCapture
from watcher_agents.procmon.loss_watch import ProgramLosses
from watcher_agents.procmon.probe.loader import LIVE_ENTRIES, RING_PAGES, ProcessProbe
from watcher_agents.procmon.probe.records import Exec, Exit, decode
from watcher_agents.procmon.program_run import Classification, ProgramRun, Reported
from watcher_agents.procmon.rules import load_rules

# A student of this run's own: the probe sees the pods of all tests that run on the machine.
WORKSPACE = f"os-1-{700_000_000 + os.getpid()}"
HOSTNAME = f"jcode-{WORKSPACE}-866cbc896c-lrx9d"
HW1 = f"{PROJECT}/hw1"
_UNMOUNT_OTHERS = f"""
mapfile -t mounts < /proc/self/mountinfo
for mount in "${{mounts[@]}}"; do
    read -r _ _ _ root point _ <<< "$mount"
    case "$point,$root" in {PROJECT},*) ;; *,*/workspace/*) umount -l "$point" ;; esac
done
"""


class Pod:
    """A student's pod: its own UTS, mount and pid namespaces, the workspace mounted at /home/coder/project.

    `workspace` is the directory on the machine's file system, `hw1` an assignment in it. `own_pids` False: the pod
    is in the node's pid namespace.
    """

    def __init__(
        self, directory: Path, hostname: str = HOSTNAME, workspace: str = WORKSPACE, *, own_pids: bool = True
    ) -> None:
        self.hostname = hostname
        self._left_out = () if own_pids else ("--pid", "--fork", "--kill-child", "--mount-proc")
        self.workspace = directory / "workspace" / workspace
        self.hw1 = self.workspace / "hw1"
        self.hw1.mkdir(parents=True, exist_ok=True)

    def start(self, script: str) -> "subprocess.Popen[bytes]":
        """Runs a shell script in the pod, from hw1."""
        command = boot_command(self.hostname, self.workspace, f"cd hw1 && {{ {script}\n}}")
        return subprocess.Popen(
            [part for part in command if part not in self._left_out],
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
        )

    def run(self, script: str) -> int:
        """Runs a shell script in the pod, from hw1; its exit status."""
        return _wait(self.start(script))

    def start_as_student(self, script: str) -> "subprocess.Popen[bytes]":
        """Runs a shell script in the pod, from hw1, as the student, to whom the workspace belongs.

        As in a real pod, no mount of another's workspace is to be seen, whatever the machine has mounted.
        """
        for place in (self.workspace, *self.workspace.rglob("*")):
            os.chown(place, STUDENT_UID, STUDENT_UID)
        student = f"setpriv --reuid={STUDENT_UID} --regid={STUDENT_UID} --clear-groups --reset-env"
        return self.start(f"{_UNMOUNT_OTHERS}\n{student} bash -c {shlex.quote('cd ' + HW1 + ';' + script)}")

    def run_as_student(self, script: str) -> int:
        """`start_as_student`, until its end; its exit status."""
        return _wait(self.start_as_student(script))


def _wait(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


def pids_of(executable: Path) -> list[int]:
    """The processes on this machine that run this executable."""
    pids = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "exe").samefile(executable):
                pids.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return pids


class Recorder:
    """Collects what a capture hands over of the students `workspaces`."""

    def __init__(self, *workspaces: str) -> None:
        self._workspaces = workspaces or (WORKSPACE,)
        self.reported: list[Reported] = []
        self.losses: list[ProgramLosses] = []
        self.failures: list[BaseException] = []

    def capture(
        self, *, on_programs: Callable[[list[Reported]], None] | None = None, ring_pages: int = RING_PAGES
    ) -> ProcessCapture:
        """A capture, by the default rules, that hands over to `on_programs` or, where that is None, to this."""
        return ProcessCapture(
            hostname_prefix="jcode-",
            rules=load_rules(),
            on_programs=on_programs or self.take,
            on_losses=self.losses.append,
            on_failure=self.failures.append,
            ring_pages=ring_pages,
        )

    def take(self, programs: list[Reported]) -> None:
        self.reported.extend(entry for entry in programs if entry[0].student.workspace in self._workspaces)

    def clear(self) -> None:
        self.reported.clear()
        self.losses.clear()

    def runs(self, name: str) -> list[tuple[ProgramRun, Classification]]:
        """Those whose executable has this name."""
        return [entry for entry in list(self.reported) if entry[0].binary_path.rpartition("/")[2] == name]

    def one(self, name: str) -> tuple[ProgramRun, Classification]:
        """Waits for the one program of this name."""
        wait_for(lambda: bool(self.runs(name)), f"{name} reported")
        (found,) = self.runs(name)
        return found


class Observer:
    """A probe of a test's own, whose records are polled by the test."""

    def __init__(self, *, ring_pages: int = 256, live_entries: int = LIVE_ENTRIES) -> None:
        self.raw: list[bytes] = []
        self.deliver: Callable[[bytes], None] = self.raw.append
        self.probe = ProcessProbe("jcode-", self._received, ring_pages=ring_pages, live_entries=live_entries)

    def _received(self, raw: bytes) -> None:
        self.deliver(raw)

    def records(self) -> list[Exec | Exit]:
        """All that has been recorded up to now."""
        return [decode(raw) for raw in self.drained()]

    def drained(self) -> list[bytes]:
        """`records`, undecoded."""
        self.probe.poll(100)
        return self.raw

    def execs(self, name: str) -> list[Exec]:
        """The execs of programs with this name."""
        return [
            record
            for record in self.records()
            if isinstance(record, Exec) and record.binary_path.rpartition("/")[2] == name
        ]

    def exit_of(self, execution: Exec) -> Exit:
        """Waits for the end of the process that called this exec."""

        def found() -> list[Exit]:
            return [
                record
                for record in self.records()
                if isinstance(record, Exit)
                and (record.pid, record.start_boottime) == (execution.pid, execution.start_boottime)
            ]

        wait_for(lambda: bool(found()), f"the end of process {execution.pid}")
        (exit_,) = found()
        return exit_
