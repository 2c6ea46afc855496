"""Row ids of the small tables that every event refers to: works, source files, origins."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

from watcher_backend.storage.database import Database
from watcher_backend.storage.records import OriginKey, WorkKey

_Key = TypeVar("_Key", bound=Hashable)


class _RecentIds(Generic[_Key]):
    """The most recently used ids, bounded; what a transaction finds counts only once it has committed."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._committed: OrderedDict[_Key, int] = OrderedDict()
        self._pending: dict[_Key, int] = {}

    def get(self, key: _Key, find: Callable[[], int]) -> int:
        known = self._pending.get(key)
        if known is None:
            known = self._committed.get(key)
            if known is not None:
                self._committed.move_to_end(key)
            else:
                known = self._pending[key] = find()
        return known

    def commit(self) -> None:
        self._committed.update(self._pending)
        self._pending.clear()
        while len(self._committed) > self._capacity:
            self._committed.popitem(last=False)

    def rollback(self) -> None:
        self._pending.clear()

    def clear(self) -> None:
        self._committed.clear()

    def forget(self, removed: Callable[[_Key, int], bool]) -> None:
        for key in [key for key, row in self._committed.items() if removed(key, row)]:
            del self._committed[key]


class RowIds:
    """Finds or makes the rows that events refer to. To be used inside the one writing transaction.

    After the transaction `commit` or `rollback` must be called: an id made in a transaction that was rolled
    back names nothing.
    """

    def __init__(self, database: Database, capacity: int = 50_000) -> None:
        self._database = database
        self._works: _RecentIds[WorkKey] = _RecentIds(capacity)
        self._files: _RecentIds[tuple[int, str]] = _RecentIds(capacity)
        self._origins: _RecentIds[OriginKey] = _RecentIds(1_000)

    def work(self, key: WorkKey) -> int:
        """Return the id of a student's work on an assignment."""
        return self._works.get(
            key, lambda: self._find_or_insert("work", ("class_div", "hw_name", "student_id"), key)
        )

    def source_file(self, work: int, filename: str) -> int:
        """Return the id of a file of a work."""
        key = (work, filename)
        return self._files.get(key, lambda: self._find_or_insert("source_file", ("work", "filename"), key))

    def origin(self, key: OriginKey) -> int:
        """Return the id of an agent on a node."""
        return self._origins.get(
            key, lambda: self._find_or_insert("origin", ("agent", "node", "release", "boot_id"), key)
        )

    def commit(self) -> None:
        """Keep what the transaction found."""
        for ids in (self._works, self._files, self._origins):
            ids.commit()

    def rollback(self) -> None:
        """Forget what the transaction found."""
        for ids in (self._works, self._files, self._origins):
            ids.rollback()

    def clear(self) -> None:
        """Forget everything; to be called before the transaction has found anything."""
        for ids in (self._works, self._files, self._origins):
            ids.clear()

    def forget(self, works: Collection[int]) -> None:
        """Forget works that were removed, and their files; to be called between transactions."""
        self._works.forget(lambda _, work: work in works)
        self._files.forget(lambda key, _: key[0] in works)

    def _find_or_insert(self, table: str, columns: tuple[str, ...], values: tuple[object, ...]) -> int:
        param = self._database.param
        condition = " AND ".join(f"{column} = {param}" for column in columns)
        row = self._database.execute(f"SELECT id FROM {table} WHERE {condition}", values).fetchone()
        if row is None:
            cursor = self._database.execute(
                f"INSERT INTO {table} ({', '.join(columns)})"
                f" VALUES ({', '.join(param for _ in columns)}) RETURNING id",
                values,
            )
            row = cursor.fetchall()[0]  # fetchall: the statement is finished only when it was read to its end
        found: int = row[0]
        return found
