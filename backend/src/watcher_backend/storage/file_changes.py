"""Telling created from modified for those who do not say it, or cannot know."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from watcher_backend.storage.database import Database


class _Latest(NamedTuple):
    occurred_at: int
    event: int
    change: str
    sha256: bytes | None


# A file that has no version is one that is not there.
_NONE = _Latest(-1, 0, "deleted", None)
_END_OF_TIME = 2**63 - 1


class FileChanges:
    """Knows the latest version of recently written files. To be used inside the one writing transaction.

    After the transaction `commit` or `rollback` must be called, as for the row ids.
    """

    def __init__(self, database: Database, capacity: int = 50_000) -> None:
        self._database = database
        self._capacity = capacity
        self._committed: OrderedDict[int, _Latest] = OrderedDict()
        self._pending: dict[int, list[_Latest]] = {}

    def derive(self, file: int, occurred_at: int, size: int) -> str:
        """Return what a version of ``size`` bytes at ``occurred_at`` is to its file.

        0 bytes is its deletion; without an earlier version, or after a deletion, it is created.
        """
        return "deleted" if size == 0 else self.saved(file, occurred_at)

    def saved(self, file: int, occurred_at: int) -> str:
        """Return what a version at ``occurred_at`` that is no deletion is to its file: created or modified."""
        return "created" if self._before(file, occurred_at).change == "deleted" else "modified"

    def is_so_already(self, file: int, occurred_at: int, change: str, sha256: bytes | None) -> bool:
        """Return whether the newest version up to ``occurred_at`` is a deletion, too, or has the same content.

        Without one it is not.
        """
        before = self._before(file, occurred_at)
        if before is _NONE or (before.change == "deleted") != (change == "deleted"):
            return False
        return change == "deleted" or (sha256 is not None and before.sha256 == sha256)

    def note(self, file: int, occurred_at: int, event: int, change: str, sha256: bytes | None) -> None:
        """Take notice of a version that the transaction is about to store."""
        self._pending.setdefault(file, []).append(_Latest(occurred_at, event, change, sha256))

    def commit(self) -> None:
        """Keep what the transaction stored."""
        for file, noted in self._pending.items():
            known = self._committed.get(file)
            # Without a known one the table may hold a later version than these: it is asked when needed.
            if known is not None:
                self._committed[file] = max(known, *noted)
                self._committed.move_to_end(file)
        self._pending.clear()
        while len(self._committed) > self._capacity:
            self._committed.popitem(last=False)

    def rollback(self) -> None:
        """Forget what the transaction did not store."""
        self._pending.clear()

    def learn(self, after: int, last: int) -> None:
        """Take notice of the versions that others committed: those of the events after one row up to another."""
        if not self._committed:
            return
        if last - after > self._capacity:
            self.clear()
            return
        param = self._database.param
        rows = self._database.execute(
            f"SELECT file, occurred_at, id, change, sha256 FROM version WHERE id > {param} AND id <= {param}",
            (after, last),
        ).fetchall()
        for file, *version in rows:
            known = self._committed.get(file)
            if known is not None:
                self._committed[file] = max(known, _latest(*version))

    def clear(self) -> None:
        """Forget everything."""
        self._committed.clear()

    def forget(self, files: Iterable[int]) -> None:
        """Forget files that were removed; to be called between transactions."""
        for file in files:
            self._committed.pop(file, None)

    def _before(self, file: int, occurred_at: int) -> _Latest:
        """The newest version up to ``occurred_at``, of this transaction too."""
        before = self._newest(file)
        if before.occurred_at > occurred_at:
            before = self._stored(file, occurred_at)
        in_this_group = (noted for noted in self._pending.get(file, ()) if noted.occurred_at <= occurred_at)
        return max([before, *in_this_group])

    def _newest(self, file: int) -> _Latest:
        known = self._committed.get(file)
        if known is None:
            # Rows of this transaction are not in the table yet, so what is read here is committed.
            known = self._committed[file] = self._stored(file, _END_OF_TIME)
        return known

    def _stored(self, file: int, at: int) -> _Latest:
        param = self._database.param
        row = self._database.execute(
            f"SELECT occurred_at, id, change, sha256 FROM version WHERE file = {param} AND occurred_at <= {param}"
            " ORDER BY occurred_at DESC, id DESC LIMIT 1",
            (file, at),
        ).fetchone()
        return _NONE if row is None else _latest(*row)


def _latest(occurred_at: int, event: int, change: str, sha256: bytes | memoryview | None) -> _Latest:
    """A version as it is stored; the drivers have types of their own for bytes."""
    return _Latest(occurred_at, event, change, None if sha256 is None else bytes(sha256))
