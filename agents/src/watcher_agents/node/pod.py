"""A student's pod as far as the agents can tell: hostname, mounts, processes of its own, and a student in it."""

import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from watcher_agents.node.steps import StepFailed

STUDENT_UID = 1000
"""The user that the WebIDE runs as in its container."""
PROJECT = "/home/coder/project"
OWN_VOLUME = "/home/volume/workspace"
"""Where a pod can have a workspace of its own, in memory, that nothing outside of it sees."""

PATH = "/usr/local/bin:/usr/bin:/bin"
_BOOT = """
set -e
hostname "$1"
mount -t tmpfs -o mode=755 tmpfs /home
mkdir -p "$2" "$3"
mount --bind "$2" "$3"
chown "$4:$4" "$2"
echo booted
exec sleep infinity
"""


class Pod:
    """A pod that runs while its context is entered; `run` executes in it as the student."""

    def __init__(self, hostname: str, workspace: str, seconds: float) -> None:
        """`workspace`: what is mounted as the project. `seconds`: how long its start, or one command, may take."""
        self._hostname = hostname
        self._workspace = workspace
        self._seconds = seconds

    def __enter__(self) -> "Pod":
        # Whoever kills this program kills the pod: the kernel ends unshare, and unshare all that runs in it.
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--uts", "--mount", "--pid", "--fork"]
        command += ["--kill-child", "--mount-proc", "sh", "-c", _BOOT, "boot"]
        self._unshare = subprocess.Popen(
            [*command, self._hostname, self._workspace, PROJECT, str(STUDENT_UID)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = self._first_line()
        if said != "booted\n":
            self._end()
            raise StepFailed(f"the pod {self._hostname} did not start: {said.strip() or 'it said nothing'}")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self._init_pid = int(children)
        return self

    def _first_line(self) -> str:
        """What the pod says first; empty where it ends, or hangs, before."""
        assert self._unshare.stdout is not None
        spoken, _, _ = select.select([self._unshare.stdout], [], [], self._seconds)
        return self._unshare.stdout.readline() if spoken else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._unshare.kill()
        try:
            # All in the pod has gone, and its mounts with it, when the last has closed its output.
            self._unshare.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"the pod {self._hostname} did not end within {self._seconds:g} s") from error

    def run(
        self, command: Sequence[str], directory: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the pod as the student and wait for its end; its output and errors are one.

        Raises StepFailed where it does not end.
        """
        enter = ["nsenter", "--target", str(self._init_pid), "--uts", "--mount", "--pid"]
        student = ["--setuid", str(STUDENT_UID), "--setgid", str(STUDENT_UID)]
        environment = ["env", "-i", f"PATH={PATH}", "HOME=/home/coder", "LANG=C.UTF-8"]
        shell = ["sh", "-c", 'cd "$0" && exec "$@"', directory, *command]
        try:
            return subprocess.run(
                [*enter, *student, *environment, *shell],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"{' '.join(command)} in the pod did not end within {self._seconds:g} s") from error
