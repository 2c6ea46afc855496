"""Where faults happen: a stack on volumes that can fail, students at work on it, a proxy in between."""

import errno
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.fault_proxy import FaultProxy
from lab.stack import Program, Stack
from lab.student_at_work import StudentAtWork
from lab.waiting import wait_for

AGENTS: tuple[Program, Program] = ("filemon", "procmon")

_INOTIFY_LIMITS = Path("/proc/sys/fs/inotify")
_RESTART_SECONDS = 1.0
_BUSY_SECONDS = 10.0


class FaultScene:
    """A context manager; `supervise` is to be called while it lasts, as systemd looks after its services."""

    def __init__(self, stack: Stack, state_bytes: int, volume_bytes: int) -> None:
        """`state_bytes`, `volume_bytes`: what the disks of each agent's state and of the snapshots hold."""
        self.stack = stack
        self.export = stack.directory / "export" / "workspace"
        """The workspaces as the server has them, and as the students' pods mount them."""
        self.volume = stack.directory / "volume"
        """The snapshots as the server has them."""
        self.students: list[StudentAtWork] = []
        self.restarts: Counter[tuple[Program, int]] = Counter()
        """How often an agent ended by itself and was started again, by exit code."""
        self.proxy = FaultProxy(stack.port)
        self._sizes = {"state": state_bytes, "volume": volume_bytes}
        self._restart_at: dict[Program, float] = {}
        self._exits = ExitStack()

    def __enter__(self) -> "FaultScene":
        with ExitStack() as made:
            self.export.mkdir(parents=True)
            made.enter_context(_tmpfs(self.volume, self._sizes["volume"]))
            for agent in AGENTS:
                made.enter_context(_tmpfs(self.state(agent), self._sizes["state"]))
            for server, node in ((self.export, self.stack.workspaces), (self.volume, self.stack.snapshots)):
                bind(server, node)
                made.callback(_unmount_all, node)
            made.enter_context(self.proxy)
            made.callback(self._kill_all)
            self.stack.agents_url = self.proxy.url
            self._exits = made.pop_all()
        return self

    def __exit__(self, *of: object) -> None:
        self._exits.close()

    def _kill_all(self) -> None:
        for program in ("filemon", "procmon", "backend"):
            if self.stack.is_started(program):
                self.stack.kill(program)

    def state(self, agent: Program) -> Path:
        """An agent's state directory."""
        return self.stack.directory / "state" / agent

    def pod_point(self, student: StudentAtWork, pod: str = "uid-1") -> Path:
        """Where kubelet has a student's workspace mounted for a pod."""
        return self.stack.directory / "pods" / pod / student.workspace.name

    def mount_pod(self, student: StudentAtWork, pod: str = "uid-1") -> None:
        """Mount a student's workspace in the node's mount namespace, as kubelet does for a pod."""
        point = self.pod_point(student, pod)
        point.mkdir(parents=True, exist_ok=True)
        bind(student.workspace, point)
        self._exits.callback(_unmount_all, point)

    def supervise(self) -> None:
        """Start agents that have ended by themselves again, a second later, as their units do."""
        for agent in AGENTS:
            code = self.stack.ended(agent)
            if code is None:
                continue
            if agent not in self._restart_at:
                self.restarts[agent, code] += 1
                self._restart_at[agent] = time.monotonic() + _RESTART_SECONDS
            elif self._restart_at[agent] <= time.monotonic():
                del self._restart_at[agent]
                self.stack.launch(agent)

    def hold(self, seconds: float) -> None:
        """Let some time pass."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.supervise()
            self.check_students()
            time.sleep(min(0.05, left))

    def check_students(self) -> None:
        """Raise what ended a student's work."""
        for student in self.students:
            if student.failure is not None:
                raise student.failure

    def wait_for_students(self, seconds: float = 60.0) -> None:
        """Wait until they have done what they were asked for."""

        def content() -> bool:
            self.check_students()
            return all(student.is_content() for student in self.students)

        wait_for(content, "the students to do what they were asked for", seconds)


@contextmanager
def _tmpfs(point: Path, size: int) -> Iterator[None]:
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", point], check=True)
    try:
        yield
    finally:
        _unmount_all(point)


def bind(source: Path, point: Path) -> None:
    """Mount a directory at another place too."""
    subprocess.run(["mount", "--bind", source, point], check=True)


def unmount(point: Path) -> None:
    """Take a mount away from where it is, also from under those who use it."""
    subprocess.run(["umount", "--lazy", point], check=True)


def _unmount_all(point: Path) -> None:
    """Take away what is mounted, which may be nothing where a fault was cut short."""
    while os.path.ismount(point) or _is_bound(point):
        unmount(point)


def _is_bound(point: Path) -> bool:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(point) for line in mounts)


@contextmanager
def read_only(point: Path) -> Iterator[None]:
    """Make a file system read-only for a while."""

    def remounted() -> bool:
        done = subprocess.run(["mount", "-o", "remount,ro", point], capture_output=True, text=True, check=False)
        if done.returncode != 0 and "busy" not in done.stderr:
            raise AssertionError(f"remounting {point}: {done.stderr}")
        return done.returncode == 0

    # Busy while a file on it is being written.
    wait_for(remounted, f"{point} to be read-only", _BUSY_SECONDS)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", point], check=True)


@contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Fill the file system that holds `directory` to the last byte for a while."""
    filler = directory / "filler"
    file = filler.open("wb", buffering=0)
    try:
        with file:
            for size in (1 << 20, 1 << 12, 1):
                block = b"x" * size
                while _written(file.fileno(), block):
                    pass
        yield
    finally:
        filler.unlink()


def _written(descriptor: int, block: bytes) -> bool:
    try:
        return os.write(descriptor, block) == len(block)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


@contextmanager
def inotify_limit(name: str, value: int) -> Iterator[None]:
    """Set one of the kernel's inotify limits for a while; it holds for the whole machine."""
    former = (_INOTIFY_LIMITS / name).read_text()
    (_INOTIFY_LIMITS / name).write_text(str(value))
    try:
        yield
    finally:
        (_INOTIFY_LIMITS / name).write_text(former)
