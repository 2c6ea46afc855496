"""What was last captured of each file: the memory that tells a new version from a known one."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from watcher_agents.filemon.safe_open import FileState
from watcher_agents.filemon.schedule import workspace_of
from watcher_agents.state import StateDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS captured (
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    digest TEXT NOT NULL,
    version_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watched_workspace (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class CapturedVersion:
    """The last version captured of a file."""

    path: bytes
    """Below the watch root."""
    state: FileState
    digest: str
    """SHA-256 of the content; where the content was omitted, what stands for it."""
    version_id: str


class CapturedVersions:
    """The last captured version of every file that was there when it was last looked at."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        with state.reading() as connection:
            connection.executescript(_SCHEMA)
            self._count = Counter(
                dict(
                    connection.execute(
                        "SELECT substr(path, 1, instr(path, x'2F') - 1), COUNT(*) FROM captured GROUP BY 1"
                    ).fetchall()
                )
            )

    def count(self, workspace: bytes) -> int:
        """How many files of a workspace are known."""
        return self._count[workspace]

    def count_changed(self, new: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Take note, once it is committed, of files that are known now and of those that are forgotten."""
        self._count.update(map(workspace_of, new))
        self._count.subtract(map(workspace_of, gone))
        self._count += Counter()

    def watched_workspaces(self) -> set[bytes]:
        """The workspaces that were last noted as watched."""
        with self._state.reading() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM watched_workspace").fetchall()}

    def note_watched_workspaces(self, names: Iterable[bytes]) -> None:
        """Note which workspaces are watched: a next start looks after those whose pods went meanwhile.

        Raises sqlite3.Error.
        """
        with self._state.transaction() as transaction:
            transaction.execute("DELETE FROM watched_workspace")
            transaction.executemany("INSERT INTO watched_workspace VALUES (?)", [(name,) for name in names])

    def of(self, path: bytes) -> CapturedVersion | None:
        """The last captured version of the file at `path`, or None where none is known."""
        with self._state.reading() as connection:
            row = connection.execute(f"{_SELECT} WHERE path = ?", (path,)).fetchone()
        return _version(row) if row else None

    def paths_beneath(self, directory: bytes) -> list[bytes]:
        """Paths of all files known below `directory`, at any depth; an empty one is the watch root."""
        with self._state.reading() as connection:
            if not directory:
                rows = connection.execute("SELECT path FROM captured").fetchall()
            else:
                # "0" is the byte after "/": the range holds what begins with the directory and a slash.
                rows = connection.execute(
                    "SELECT path FROM captured WHERE path >= ? AND path < ?",
                    (directory + b"/", directory + b"0"),
                ).fetchall()
        return [path for (path,) in rows]

    def note(self, transaction: sqlite3.Connection, versions: Iterable[CapturedVersion]) -> None:
        """Remember these as the last versions of their files, in the caller's transaction."""
        transaction.executemany(
            "INSERT INTO captured (path, size, mtime_ns, ctime_ns, inode, digest, version_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " ctime_ns = excluded.ctime_ns, inode = excluded.inode, digest = excluded.digest,"
            " version_id = excluded.version_id",
            (
                (
                    version.path,
                    version.state.size,
                    version.state.mtime_ns,
                    version.state.ctime_ns,
                    version.state.inode,
                    version.digest,
                    version.version_id,
                )
                for version in versions
            ),
        )

    def forget(self, transaction: sqlite3.Connection, paths: Iterable[bytes]) -> None:
        """Forget files that are gone, in the caller's transaction."""
        transaction.executemany("DELETE FROM captured WHERE path = ?", ((path,) for path in paths))


_SELECT = "SELECT path, size, mtime_ns, ctime_ns, inode, digest, version_id FROM captured"


def _version(row: tuple[bytes, int, int, int, int, str, str]) -> CapturedVersion:
    path, size, mtime_ns, ctime_ns, inode, digest, version_id = row
    return CapturedVersion(path, FileState(size, mtime_ns, ctime_ns, inode), digest, version_id)
