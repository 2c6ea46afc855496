"""Which student a program belongs to: to whom the pod does, whatever hostname the program was given.

A student can give a process any hostname (`unshare -Ur --uts`), that of another student's pod too. What decides,
in this order: the workspace that the pod's mounts show; the hostname of the pod's first process; where neither is
known, the workspace that the program lies or works in; and the program's own hostname.
"""

from dataclasses import dataclass

from watcher_agents.identity import Student, student_of_pod
from watcher_agents.procmon.assignment import workspace_in
from watcher_agents.procmon.forged_hostnames import ForgedHostnames
from watcher_agents.procmon.pod_workspace import PodWorkspaces, ProcessGone, same_student
from watcher_agents.procmon.probe.records import Exec
from watcher_agents.procmon.running import RunningProcess


@dataclass(frozen=True)
class Owner:
    """A program's student, and whether its hostname names somebody else or nobody."""

    student: Student
    hostname_forged: bool


class Owners:
    """Tells programs' owners. `prefix` is what the hostnames of students' pods begin with."""

    def __init__(self, prefix: str, forged: ForgedHostnames) -> None:
        self._prefix = prefix
        self._forged = forged
        self._workspaces = PodWorkspaces()
        # By what the kernel shows as mount namespace; used for the one look at what ran before the probe.
        self._found: dict[str, Student | None] = {}

    def of_exec(self, record: Exec) -> Owner | None:
        """None where it is not a program in a student's pod."""
        claimed = student_of_pod(record.hostname, self._prefix)
        by_init = student_of_pod(record.init_hostname, self._prefix)
        if claimed is None and by_init is None:
            return None
        process = (record.pid, record.start_boottime)
        init = (record.init_pid, record.init_start_boottime)
        try:
            shown = self._workspaces.shown(record.mount_namespace, process, init, claimed)
        except ProcessGone:
            shown = None if by_init is not None else _workspace_of(record)
        return self._owner(record.hostname, claimed, shown or by_init)

    def of_running(self, process: RunningProcess) -> Owner | None:
        """None where it is not a program in a student's pod."""
        claimed = student_of_pod(process.hostname, self._prefix)
        if claimed is None:
            return None
        shown = self._found.get(process.mount_namespace)
        if shown is None or not same_student(shown, claimed):
            try:
                shown = self._workspaces.look((process.pid, process.start_boottime))
            except ProcessGone:
                shown = None
            self._found[process.mount_namespace] = shown
        return self._owner(process.hostname, claimed, shown)

    def _owner(self, hostname: str, claimed: Student | None, actual: Student | None) -> Owner | None:
        if actual is None:
            return None if claimed is None else Owner(claimed, hostname_forged=False)
        is_forged = claimed is None or not same_student(claimed, actual)
        if is_forged:
            self._forged.note(hostname, actual)
        return Owner(actual, is_forged)


def _workspace_of(record: Exec) -> Student | None:
    return workspace_in(record.cwd) or workspace_in(record.binary_path)
