"""A student's pod as far as the agents can tell: its own hostname, mounts and processes, and a student in it."""

import os
import subprocess
import time
from pathlib import Path

STUDENT_UID = 1000
"""The user that the WebIDE runs as in its container."""
HOME = "/home/coder"
PROJECT = f"{HOME}/project"

_BOOT = """
set -e
hostname "$1"
mount -t tmpfs tmpfs /home
mkdir -p "$3"
mount --bind "$2" "$3"
chown "$4:$4" "${3%/*}"
set +e
cd "$3"
eval "$5"
"""


def boot_command(hostname: str, workspace: Path, script: str) -> list[str]:
    """The command line of a pod whose first process runs a shell script, as root, in the mounted workspace."""
    namespaces = ["--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    arguments = [hostname, str(workspace), PROJECT, str(STUDENT_UID), script]
    return ["unshare", *namespaces, "bash", "-c", _BOOT, "boot", *arguments]


class Pod:
    """A pod that runs while its context is entered; `run` executes in it as the student."""

    def __init__(self, hostname: str, workspace: Path) -> None:
        """`workspace` (made if missing, owned by the student) is mounted at /home/coder/project."""
        self.hostname = hostname
        self.workspace = workspace

    def __enter__(self) -> "Pod":
        self.workspace.mkdir(parents=True, exist_ok=True)
        os.chown(self.workspace, STUDENT_UID, STUDENT_UID)
        command = boot_command(self.hostname, self.workspace, "echo booted; exec sleep infinity")
        self._unshare = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != "booted\n":
            raise RuntimeError(f"the pod {self.hostname} did not start")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self._init_pid = int(children)
        return self

    def __exit__(self, *_: object) -> None:
        self._unshare.kill()
        self._unshare.communicate()
        # --kill-child ends the pod's init, and with it all that runs in the pod.
        while Path(f"/proc/{self._init_pid}").exists():
            time.sleep(0.01)

    def run(self, script: str, directory: str = PROJECT) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script in the pod as the student; its output is captured, its exit code is the caller's."""
        return subprocess.run(self.command(script, directory), capture_output=True, check=False)

    def command(self, script: str, directory: str = PROJECT) -> list[str]:
        """The command line that runs a shell script in the pod as the student, from the node."""
        enter = ["nsenter", "--target", str(self._init_pid), "--uts", "--mount", "--root", "--pid"]
        student = ["--setuid", str(STUDENT_UID), "--setgid", str(STUDENT_UID)]
        # With something after the script, the shell forks for the last command too, as one at a prompt does.
        shell = ["env", f"HOME={HOME}", "LANG=C.UTF-8", "bash", "-c", f"cd {directory}; {script}\n(exit $?)"]
        return [*enter, *student, *shell]
