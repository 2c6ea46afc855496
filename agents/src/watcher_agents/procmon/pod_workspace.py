"""Whose workspace a process's pod has mounted: the mounts are the runtime's, whatever a student calls the process.

Asked of the pod's first process, which no namespace made inside the pod can hide; where that shows none (it is the
pause container's in a pod with a shared pid namespace), of the process and its ancestors up to the node's own.
"""

import errno
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from watcher_agents.identity import Student
from watcher_agents.mounts import parse_mountinfo
from watcher_agents.procmon.assignment import workspace_in
from watcher_agents.procmon.clock import TICK_NS
from watcher_agents.procmon.probe.records import text
from watcher_agents.procmon.running import PROC, mount_namespace_of, parent_of, start_boottime

# Several times the containers of a node; students make namespaces, but not in anybody's favour.
_NAMESPACES = 4096
_ANCESTORS = 32
# An answer that does not bear out the hostname was perhaps given while the pod's mounts were being made. It is
# asked for again each time until it is this old, and from then on once in this time.
_SETTLED_S = 1.0


class ProcessGone(Exception):
    """Neither the pod's first process nor the process itself could be looked at."""


def same_student(one: Student, other: Student) -> bool:
    """Whether they are the same but for capital letters, which a hostname of Kubernetes' has none of."""
    return one.class_div.lower() == other.class_div.lower() and one.student_id == other.student_id


@dataclass
class _Answer:
    student: Student | None
    since: float
    looked: float


class PodWorkspaces:
    """Remembers for each mount namespace whose workspace its pod shows. Safe to use from several threads.

    Kept by a number that no other namespace gets, so what is remembered is never of another pod; bounded, the
    longest unused goes first.
    """

    def __init__(self, proc: Path = PROC, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._lock = Lock()
        self._answers: OrderedDict[int, _Answer] = OrderedDict()

    def shown(
        self,
        mount_namespace: int,
        process: tuple[int, int],
        init: tuple[int, int],
        claimed: Student | None,
    ) -> Student | None:
        """The student whose workspace is the only one that the pod shows; None where it shows none or several.

        `process` and `init`, the pod's first, are pid and start (boot time, ns; 0, 0 where it is not known).
        `claimed` is the student that the hostname names: an answer that bears it out is not asked for again.
        Raises ProcessGone where nothing is known and there is nobody left to look at.
        """
        with self._lock:
            now = self._clock()
            known = self._answers.get(mount_namespace)
            if known is not None:
                self._answers.move_to_end(mount_namespace)
                if _is_settled(known, claimed, now):
                    return known.student
        try:
            student = self.look(process, init)
        except ProcessGone:
            if known is None:
                raise
            return known.student
        with self._lock:
            since = known.since if known is not None and known.student == student else now
            if mount_namespace:
                self._answers[mount_namespace] = _Answer(student, since, now)
            while len(self._answers) > _NAMESPACES:
                self._answers.popitem(last=False)
        return student

    def look(self, process: tuple[int, int], init: tuple[int, int] = (0, 0)) -> Student | None:
        """`shown` as it is now, with nothing remembered. Raises ProcessGone."""
        by_init = _Walk(self._proc)
        if init[0]:
            by_init.visit(*init)
            if by_init.student is not None:
                return by_init.student
        walk = _Walk(self._proc)
        pid, start = process
        for _ in range(_ANCESTORS):
            parent = walk.visit(pid, start)
            if parent is None:
                break
            pid, start = parent
        if not (by_init.visited or walk.visited):
            raise ProcessGone(process[0])
        return walk.student


def _is_settled(answer: _Answer, claimed: Student | None, now: float) -> bool:
    if answer.student is not None and claimed is not None and same_student(answer.student, claimed):
        return True
    return answer.looked - answer.since >= _SETTLED_S > now - answer.looked


class _Walk:
    """Looks at one process after the other; what the last one showed that showed a single workspace counts."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        # Those of the node, where the pod's ancestors end: what they show is every pod's. systemd gives us one of
        # our own.
        self._outside = (None, mount_namespace_of(1, proc), mount_namespace_of(os.getpid(), proc))
        self.student: Student | None = None
        self.visited = False

    def visit(self, pid: int, start: int) -> tuple[int, int] | None:
        """Look at a process; its parent, with its start, None where there is none inside the pod."""
        if mount_namespace_of(pid, self._proc) in self._outside:
            return None
        mountinfo = _mountinfo(self._proc / str(pid))
        parent = parent_of(pid, self._proc)
        parent_start = start_boottime(parent, self._proc) if parent else None
        # Last: all that was read is this process's only if it is still there.
        alive = start_boottime(pid, self._proc)
        if mountinfo is None or alive is None or alive // TICK_NS != start // TICK_NS:
            return None
        self.visited = True
        student = _only_workspace(mountinfo)
        if student is not None:
            self.student = student
        return (parent, parent_start) if parent and parent_start is not None else None


def _mountinfo(entry: Path) -> bytes | None:
    """None where the process is gone (EINVAL: all but its entry), or guards itself."""
    try:
        return (entry / "mountinfo").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None


def _only_workspace(mountinfo: bytes) -> Student | None:
    # Few of a pod's mounts can be a workspace's, and taking a line apart costs more than this.
    lines = [line for line in mountinfo.splitlines() if b"workspace/" in line]
    found = {
        student
        for mount in parse_mountinfo("\n".join(map(text, lines)))
        if (student := workspace_in(mount.root)) is not None
    }
    return found.pop() if len(found) == 1 else None
