"""Counts programs under forged hostnames, and tells of them without letting a student fill the journal."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from watcher_agents.identity import Student
from watcher_agents.journal import about

_log = logging.getLogger(__name__)

_QUIET_S = 3600.0
# Names that one student can have told in that time, and students that are remembered.
_NAMES = 10
_STUDENTS = 1024


class ForgedHostnames:
    """One line a name and student in an hour, ten names a student at most. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._told: OrderedDict[str, dict[str, float]] = OrderedDict()
        self.programs = 0
        """Programs begun under a hostname that is not their pod's."""

    def note(self, hostname: str, student: Student) -> None:
        """A program of this student's was begun under this hostname."""
        with self._lock:
            self.programs += 1
            if not self._is_news(hostname, student.workspace):
                return
        _log.warning(
            "forged hostname: a program of %s says it is %s", student.workspace, hostname, extra=about(student)
        )

    def _is_news(self, hostname: str, workspace: str) -> bool:
        now = self._clock()
        names = self._told.setdefault(workspace, {})
        self._told.move_to_end(workspace)
        if len(self._told) > _STUDENTS:
            self._told.popitem(last=False)
        if hostname in names and now - names[hostname] < _QUIET_S:
            return False
        for name in [name for name, told in names.items() if now - told >= _QUIET_S]:
            del names[name]
        if len(names) >= _NAMES:
            return False
        names[hostname] = now
        return True
