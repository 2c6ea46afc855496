"""A database whose statements a test can count and look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from watcher_backend.storage.database import Cursor, Database


class NotingDatabase(Database):
    """Notes the statements that are run."""

    statements: list[str]

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.statements = []

    def execute(self, sql: str, values: Sequence[object] = ()) -> Cursor:
        self.statements.append(sql)
        return super().execute(sql, values)

    def select(self, query: Any) -> list[tuple[Any, ...]]:
        self.statements.append(query.sql()[0])
        return super().select(query)
