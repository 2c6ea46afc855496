"""What students did, written down by those who play them; nothing in it comes from Watcher.

Times are nanoseconds since the epoch. Every content names its student, file and number, so no two are alike.
"""

import threading
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, NamedTuple

QUIET_NS = 5_000_000_000
"""An open file that nobody writes to for so long has to be recorded: twice the quiet period, and a second."""

StateKind = Literal["saved", "growing", "deleted"]


class FileKey(NamedTuple):
    """A file as Watcher names it."""

    student_id: int
    hw_name: str
    filename: str

    def __str__(self) -> str:
        return f"{self.student_id}/{self.hw_name}/{self.filename}"


@dataclass
class FileState:
    """What a file was from `done_ns` on: a completed save, as it stood while it was kept open, or not there.

    `begun_ns` is before the first step that made it so. `digest`: SHA-256 of the content, None for a deletion.
    """

    kind: StateKind
    digest: str | None
    begun_ns: int
    done_ns: int


@dataclass(frozen=True)
class ProgramDone:
    """A build or run that ended; it is known again by `marker`, which is in its arguments and nobody else's."""

    student_id: int
    marker: str
    type: Literal["build", "run"]
    exit_code: int | None
    signal: int | None
    begun_ns: int
    done_ns: int


@dataclass
class Ledger:
    """All that was done. Each file is written by one thread; programs and files are noted by several."""

    files: dict[FileKey, list[FileState]] = field(default_factory=dict)
    programs: list[ProgramDone] = field(default_factory=list)
    closed_ns: int | None = None
    """When the last student stopped."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def saved(self, key: FileKey, content: bytes, begun_ns: int, done_ns: int) -> None:
        """A save was completed: closed, or renamed into place."""
        self._note(key, FileState("saved", sha256(content).hexdigest(), begun_ns, done_ns))

    def moved_in(self, key: FileKey, former: FileKey, begun_ns: int, done_ns: int) -> None:
        """A file came here under another name, with the content that it had there, and is there no more."""
        self._note(key, FileState("saved", self.files[former][-1].digest, begun_ns, done_ns))
        self.deleted(former, begun_ns, done_ns)

    def grown(self, key: FileKey, content: bytes, begun_ns: int, done_ns: int) -> None:
        """A file that is kept open got longer; `content` is all that is in it now."""
        self._note(key, FileState("growing", sha256(content).hexdigest(), begun_ns, done_ns))

    def deleted(self, key: FileKey, begun_ns: int, done_ns: int) -> None:
        """A file was deleted, or moved away."""
        self._note(key, FileState("deleted", None, begun_ns, done_ns))

    def ran(self, *programs: ProgramDone) -> None:
        """Programs ended."""
        with self._lock:
            self.programs.extend(programs)

    def _note(self, key: FileKey, state: FileState) -> None:
        with self._lock:
            states = self.files.setdefault(key, [])
        last = states[-1] if states else None
        if last is not None and last.digest == state.digest:
            # The same content again is no new version; closing what was kept open makes a save of it.
            if state.kind == "saved" and last.kind == "growing":
                states[-1] = FileState("saved", last.digest, last.begun_ns, last.done_ns)
            return
        states.append(state)

    def exists(self, key: FileKey) -> bool:
        """Whether the file is there now."""
        return self.files[key][-1].kind != "deleted"

    def until_ns(self, key: FileKey, index: int) -> int:
        """Up to when a file's state can have been seen: when the next one was there for certain."""
        states = self.files[key]
        if index + 1 < len(states):
            return states[index + 1].done_ns
        if self.closed_ns is None:
            raise ValueError("the ledger is still being written: expected closed_ns to be set")
        return max(self.closed_ns, states[index].done_ns)

    def must_be_recorded(self, key: FileKey, index: int) -> bool:
        """Whether a state has to be recorded or declared: a save, or what an open file was when left in peace."""
        states = self.files[key]
        if states[index].kind == "growing" and index + 1 < len(states):
            return states[index + 1].begun_ns - states[index].done_ns >= QUIET_NS
        return states[index].kind != "deleted"

    @property
    def saves(self) -> int:
        """How many states of files have to be recorded or declared."""
        return sum(
            self.must_be_recorded(key, index) for key, states in self.files.items() for index in range(len(states))
        )
