"""The canary's workspace on the export, mounted as a pod's: the export a separate time, then the workspace alone.

Both mounts are made in the node's own mount namespace, as kubelet makes them, so that filemon sees a pod come. The
canary touches nothing on the export but its own workspace, and takes that away through its own mount: the node's
may be read-only. Commands do it, so that a server that goes meanwhile hangs them and not this program.
"""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher_agents.mounts import Mount, differing_options, mount_holding
from watcher_agents.node.canary import HW_NAME
from watcher_agents.node.deadline import run_to_deadline
from watcher_agents.node.mount_table import (
    host_mounts,
    mounted_at,
    nfs_options,
    pod_mount_of,
)
from watcher_agents.node.pod import STUDENT_UID
from watcher_agents.node.steps import StepFailed

RUN_DIRECTORY = Path("/run/watcher")
_REMOVE_WHOLE = """
rm -rf -- "$2"
if [ -d "$1" ]; then
    mv -T -- "$1" "$2"
    rm -rf -- "$2"
fi
"""


@dataclass(frozen=True)
class CanaryVolume:
    """Where the workspace is mounted; nothing is done before `mount`."""

    workspace: str
    watch_root: Path
    seconds: float
    """How long one mount may take."""

    @property
    def directory(self) -> Path:
        """Holds both mount points."""
        return RUN_DIRECTORY / self.workspace

    @property
    def _export(self) -> Path:
        return self.directory / "export"

    @property
    def project(self) -> Path:
        """The workspace, as a pod has it."""
        return self.directory / "project"

    def mount(self) -> str:
        """Mount the export and say how. Raises StepFailed."""
        self.unmount()
        table = host_mounts()
        ours = self._ours(table)
        self._export.mkdir(parents=True)
        self.project.mkdir()
        if not ours.is_nfs:
            # Private: else what anybody mounts below the original would appear here, too, and keep it busy.
            self._run("mount", "--bind", "--make-private", ours.point, str(self._export))
            return f"{ours.point} ({ours.type}) bound to {self._export}"
        model = pod_mount_of(ours, table, str(RUN_DIRECTORY)) or ours
        options = nfs_options(model)
        self._run("mount", "-t", "nfs4", "-o", options, ours.source, str(self._export))
        return f"{ours.source} mounted as {model.point} is: {options}"

    def make_workspace(self) -> None:
        """Make the workspace on the export, owned by the student, and mount it alone. Raises StepFailed."""
        workspace = self._workspaces() / self.workspace
        owner = ("--owner", str(STUDENT_UID), "--group", str(STUDENT_UID))
        # One that a killed run left is used again: filemon may still watch that very directory.
        self._run("install", "--directory", *owner, "--", str(workspace), str(workspace / HW_NAME))
        self._run("mount", "--bind", str(workspace), str(self.project))
        if mounted_at(str(self.project), host_mounts()) is None:
            raise StepFailed(f"{self.project} is not among the node's mounts: run this outside of any namespace")

    def blindness(self) -> str:
        """In what the pod's mount differs from filemon's; empty where they share a superblock."""
        table = host_mounts()
        ours = self._ours(table)
        theirs = mounted_at(str(self.project), table)
        if theirs is None or theirs.device == ours.device:
            return ""
        differ = differing_options(ours, theirs) or "nothing that is shown"
        return f"{ours.point} and the pod's mount share no superblock: {differ}"

    def remove_workspace(self) -> None:
        """Take the workspace off the export, with all that is in it. Raises StepFailed.

        It is renamed first: files that vanish one by one are deletions by the student, a workspace that vanishes
        as a whole is the site's doing and no event.
        """
        workspace = self._workspaces() / self.workspace
        removed = workspace.with_name(f".{self.workspace}.removed")
        self._run("sh", "-ec", _REMOVE_WHOLE, "remove", str(workspace), str(removed))

    def unmount(self) -> None:
        """Undo `mount`, also an earlier run's. Raises StepFailed.

        Directories are only ever removed empty: what could not be unmounted is the students'.
        """
        while mounts := [entry for entry in host_mounts() if self._is_own(entry)]:
            self._run("umount", "--lazy", mounts[-1].point)
        for directory in (self.project, self._export, self.directory):
            with suppress(FileNotFoundError):
                directory.rmdir()

    def _is_own(self, entry: Mount) -> bool:
        return entry.point.startswith(f"{self.directory}/")

    def _ours(self, table: list[Mount]) -> Mount:
        """The mount that filemon watches. Raises StepFailed."""
        ours = mount_holding(str(self._watch_root()), table)
        if ours is None:
            raise StepFailed(f"no mount holds {self.watch_root}")
        return ours

    def _watch_root(self) -> Path:
        path = self._run("realpath", "--canonicalize-existing", "--zero", "--", str(self.watch_root))
        return Path(os.fsdecode(path.rstrip(b"\0")))

    def _workspaces(self) -> Path:
        """The watch root, seen through the canary's mount."""
        ours = self._ours(host_mounts())
        return self._export / self._watch_root().relative_to(ours.point)

    def _run(self, *command: str) -> bytes:
        return run_command(command, self.seconds)


def run_command(command: Sequence[str], seconds: float) -> bytes:
    """What a command of the system prints. Raises StepFailed with what it said."""
    try:
        done = run_to_deadline(command, seconds)
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"{' '.join(command)} did not end within {seconds:g} s") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace")
        raise StepFailed(f"{' '.join(command)} ended with {done.returncode}: {' '.join(said.split())}")
    return done.stdout
