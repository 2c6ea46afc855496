"""Counting and looking at the statements that a database is asked."""

from typing import Any, NamedTuple

from watcher_backend.storage.database import Database


class Statement(NamedTuple):
    """A statement and the values of its parameters."""

    sql: str
    values: Any


class Noted:
    """Notes the statements that are run from now on; what begins and ends a transaction is not among them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.statements: list[Statement] = []
        database._pool.query_hooks.append(self._note)

    def _note(self, event: Any) -> None:
        if not event.sql.startswith("EXPLAIN"):
            self.statements.append(Statement(event.sql, event.params))

    def plans(self, prefix: tuple[str, ...] = ("SELECT", "DELETE", "\n", "WITH")) -> list[list[str]]:
        """Return for each noted statement that begins so the steps that the database would take."""
        explain = "EXPLAIN QUERY PLAN" if self._database.param == "?" else "EXPLAIN"
        return [
            [row[-1].strip() for row in self._database.execute(f"{explain} {sql}", values).fetchall()]
            for sql, values in list(self.statements)
            if sql.startswith(prefix)
        ]
