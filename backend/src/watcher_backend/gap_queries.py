"""Reading gaps as they arrived: pages to follow, and single ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from watcher_backend.storage.database import Database
from watcher_backend.storage.models import Gap, Origin


class StoredGap(NamedTuple):
    """One gap with everything that is known of it; times in microseconds since the epoch."""

    row: int
    event_id: bytes
    class_div: str | None
    student_id: int | None
    started_at: int | None
    occurred_at: int
    received_at: int
    sequence: int
    cause: str
    files_seen: int | None
    files_recovered: int | None
    events_lost: int | None
    detail: str | None
    agent: str
    node: str
    release: str
    boot_id: str


@dataclass(frozen=True)
class GapFilter:
    """Which gaps; None takes all. since and until in microseconds since the epoch, both included.

    node_wide: only (True) or none (False) of those that concern all students of a node. or_node_wide: these
    besides those of the class and the student, which one of them must name.
    """

    node: str | None = None
    agent: str | None = None
    cause: str | None = None
    class_div: str | None = None
    student_id: int | None = None
    since: int | None = None
    until: int | None = None
    node_wide: bool | None = None
    or_node_wide: bool = False


class GapPage(NamedTuple):
    """Gaps in order of arrival, and the row after which the next page begins."""

    gaps: list[StoredGap]
    next_row: int


class _Condition(NamedTuple):
    sql: str
    values: tuple[object, ...] = ()


class _Walk(NamedTuple):
    """A way through an index (None: the table in order of arrival), and whose work the gaps on it concern."""

    through: str | None
    concerned: list[_Condition]


def gaps_page(database: Database, wanted: GapFilter, after_row: int, limit: int) -> GapPage:
    """Return up to ``limit`` gaps that arrived after the row ``after_row``, in order of arrival.

    next_row is what it is for events: whoever asks again from there misses nothing and sees nothing twice.
    """
    # First where the table ends, as for events: what is committed in between is the next page's.
    newest = _newest_row(database)
    rows: list[int] = []
    for walk in _walks(wanted, database.param, from_the_start=after_row == 0):
        rows += _rows_of_walk(database, wanted, walk, (after_row, newest), limit)
    rows = sorted(rows)[:limit]
    gaps = _load(database, Gap.id.in_(rows)) if rows else []
    return GapPage(gaps, rows[-1] if len(rows) == limit else max(after_row, newest))


def gap_by_id(database: Database, event_id: bytes) -> StoredGap | None:
    """Return the gap with this id, None where there is none."""
    found = _load(database, Gap.event_id == event_id)
    return found[0] if found else None


def _newest_row(database: Database) -> int:
    row = database.execute("SELECT max(id) FROM gap").fetchone()
    return row[0] if row and row[0] else 0


def _walks(wanted: GapFilter, param: str, from_the_start: bool) -> Iterator[_Walk]:
    """The walks that together find all that is wanted, each on the index that narrows most.

    SQLite's planner has no statistics, and would take for narrow what is not: half of all gaps have one cause.
    """
    whole_node = _Condition("g.student_id IS NULL")
    concerned = [
        _Condition(f"g.{column} = {param}", (value,))
        for column, value in (("student_id", wanted.student_id), ("class_div", wanted.class_div))
        if value is not None
    ]
    if wanted.node_wide is True:
        concerned.append(whole_node)
    elif wanted.node_wide is False:
        concerned.append(_Condition("g.student_id IS NOT NULL"))
    yield _Walk(_narrowest_index(wanted, from_the_start), concerned)
    if wanted.or_node_wide:
        yield _Walk("gap_origin" if wanted.node is not None else "gap_student", [whole_node])


def _narrowest_index(wanted: GapFilter, from_the_start: bool) -> str | None:
    narrowing = (
        ("gap_student", wanted.student_id is not None),
        ("gap_origin", wanted.node is not None),
        ("gap_class", wanted.class_div is not None),
        ("gap_cause", wanted.cause is not None),
        ("gap_student", wanted.node_wide is True),
        # Not in the order of arrival, so what it finds has to be sorted: once, not again for every further page.
        ("gap_time", wanted.since is not None and from_the_start),
    )
    return next((index for index, narrows in narrowing if narrows), None)


def _rows_of_walk(
    database: Database, wanted: GapFilter, walk: _Walk, span: tuple[int, int], limit: int
) -> list[int]:
    param = database.param
    conditions = [_Condition(f"g.id > {param} AND g.id <= {param}", span), *walk.concerned]
    if wanted.cause is not None:
        conditions.append(_Condition(f"g.cause = {param}", (wanted.cause,)))
    if wanted.since is not None:
        conditions.append(_Condition(f"g.occurred_at >= {param}", (wanted.since,)))
    if wanted.until is not None:
        conditions.append(_Condition(f"(g.started_at IS NULL OR g.started_at <= {param})", (wanted.until,)))
    of_origin = [
        _Condition(f"o.{column} = {param}", (value,))
        for column, value in (("node", wanted.node), ("agent", wanted.agent))
        if value is not None
    ]
    if walk.through == "gap_origin":
        return _rows_of_nodes(database, conditions, of_origin, limit)
    source = f"gap g {database.through(walk.through)}"
    if of_origin:
        # The gaps come first, in order of arrival, and an origin is looked up for each.
        source += f" {database.first_then('origin o', 'o.id = g.origin')}"
    sql, values = _conjunction([*conditions, *of_origin])
    rows = database.execute(
        f"SELECT g.id FROM {source} WHERE {sql} ORDER BY g.id LIMIT {param}", [*values, limit]
    ).fetchall()
    return [row for (row,) in rows]


def _rows_of_nodes(
    database: Database, conditions: list[_Condition], of_origin: list[_Condition], limit: int
) -> list[int]:
    param = database.param
    page, page_values = _conjunction(conditions)
    origins, origin_values = _conjunction(of_origin)
    # One bounded walk of gap_origin for each boot of the node: a page costs these, not the node's gaps.
    of_origin_row = (
        f"SELECT g.id FROM gap g {database.through('gap_origin')}"
        f" WHERE g.origin = o.id AND {page} ORDER BY g.id LIMIT {param}"
    )
    rows = database.execute(
        f"""
        SELECT found.id FROM origin o {database.of_each("gap", of_origin_row)}
        WHERE {origins} ORDER BY found.id LIMIT {param}
        """,
        [*page_values, limit, *origin_values, limit],
    ).fetchall()
    return [row for (row,) in rows]


def _conjunction(conditions: list[_Condition]) -> tuple[str, list[object]]:
    return (
        " AND ".join(condition.sql for condition in conditions),
        [value for condition in conditions for value in condition.values],
    )


def _load(database: Database, condition: Any) -> list[StoredGap]:
    query = (
        Gap.select(
            Gap.id, Gap.event_id, Gap.class_div, Gap.student_id, Gap.started_at, Gap.occurred_at,
            Gap.received_at, Gap.sequence, Gap.cause, Gap.files_seen, Gap.files_recovered, Gap.events_lost,
            Gap.detail, Origin.agent, Origin.node, Origin.release, Origin.boot_id,
        )
        .join(Origin, on=(Gap.origin == Origin.id))
        .where(condition)
        .order_by(Gap.id)
    )  # fmt: skip
    return [StoredGap(*row) for row in database.select(query)]
