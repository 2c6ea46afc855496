"""Another worker node as far as filemon can tell: a mount namespace of its own, with a process 1 of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lab.stack import Stack, free_port
from lab.waiting import wait_for

NAME = "worker-2"

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class SecondNode:
    """filemon on a node of its own with the same export, snapshots and backend; a context manager."""

    def __init__(self, stack: Stack, without: Sequence[Path]) -> None:
        """`stack` runs, and its mounts are there: the node has them too, but for those `without`."""
        self._stack = stack
        self._without = without
        self._port = free_port()
        self._log = stack.directory / "filemon-2.log"
        self._state = stack.directory / "state" / "filemon-2"

    def __enter__(self) -> "SecondNode":
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._unshare = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", "echo up; exec sleep infinity"], stdout=subprocess.PIPE, text=True
        )
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != "up\n":
            raise RuntimeError("the second node did not start")
        self._init = _child(self._unshare.pid)
        for point in self._without:
            self.unmount(point)
        environment = self._stack.environment("filemon") | {
            "WATCHER_NODE_NAME": NAME,
            "WATCHER_STATE_DIR": str(self._state),
            "WATCHER_METRICS_PORT": str(self._port),
        }
        program = self._stack.program_file("filemon")
        begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self._filemon = subprocess.Popen(
                [*self._inside("--pid"), program], env=environment, stdout=output, stderr=output
            )

        def ready() -> bool:
            if self._filemon.poll() is not None:
                raise AssertionError(f"filemon on {NAME} ended:\n{self._log.read_text()[-3000:]}")
            return b" ready: " in self._log.read_bytes()[begin:]

        wait_for(ready, f"filemon on {NAME} to be ready", _START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._unshare.kill()
        self._unshare.communicate()
        # --kill-child ends the first process, and with it all that runs there.
        self._filemon.wait()
        while Path(f"/proc/{self._init}").exists():
            time.sleep(0.01)

    def _inside(self, *namespaces: str) -> list[str]:
        return ["nsenter", "--target", str(self._init), "--mount", *namespaces]

    def mount(self, source: Path, point: Path) -> None:
        """Mount a directory on the node, as kubelet does for a pod."""
        point.mkdir(parents=True, exist_ok=True)
        subprocess.run([*self._inside(), "mount", "--bind", source, point], check=True)

    def unmount(self, point: Path) -> None:
        """Take a mount away from the node."""
        subprocess.run([*self._inside(), "umount", point], check=True)

    def metric(self, name: str) -> float:
        """The value of a metric of the node's filemon."""
        return self._stack.metric_at(self._port, name)

    def has_delivered(self) -> bool:
        """Whether no event waits in the spool there."""
        return self.metric("watcher_spool_events") == 0

    def stop(self) -> None:
        """Stop filemon in order; AssertionError where it fails or leaves events behind: nobody would send them."""
        os.kill(_child(self._filemon.pid), signal.SIGTERM)
        code = self._filemon.wait(_STOP_SECONDS)
        log = self._log.read_text()
        if code != 0 or "in the spool, sent after the next start" in log:
            raise AssertionError(f"filemon on {NAME} stopped with {code}:\n{log[-3000:]}")


def _child(pid: int) -> int:
    """The only child of a process."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
