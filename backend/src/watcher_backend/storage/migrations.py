"""The schema, as the ordered list of steps that led to it.

A released step is never edited: databases in the field have run it. A change is a new step at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watcher_backend.clock import now_micros
from watcher_backend.storage.database import Database


class NewerSchemaError(Exception):
    """The database was written by a newer release than this one."""


@dataclass(frozen=True)
class Migration:
    """One step: its version (1, 2, …, without holes), what it is for, and its statements."""

    version: int
    purpose: str
    statements: Sequence[str]


# Times are microseconds since 1970-01-01T00:00:00 UTC. STRICT, so that no value of another type gets in.
MIGRATIONS: Sequence[Migration] = (
    Migration(
        1,
        "events of filemon and procmon, and of the agents before them",
        (
            # One student's work on one assignment.
            """
            CREATE TABLE work (
                id INTEGER PRIMARY KEY,
                class_div TEXT NOT NULL,
                hw_name TEXT NOT NULL,
                student_id INTEGER NOT NULL,
                UNIQUE (class_div, hw_name, student_id)
            ) STRICT
            """,
            "CREATE INDEX work_student ON work (student_id)",
            """
            CREATE TABLE source_file (
                id INTEGER PRIMARY KEY,
                work INTEGER NOT NULL REFERENCES work (id),
                filename TEXT NOT NULL,
                UNIQUE (work, filename)
            ) STRICT
            """,
            # An agent of one release on one node during one boot; kept apart because a row of event would
            # otherwise repeat a hundred bytes.
            """
            CREATE TABLE origin (
                id INTEGER PRIMARY KEY,
                agent TEXT NOT NULL,
                node TEXT NOT NULL,
                release TEXT NOT NULL,
                boot_id TEXT NOT NULL,
                UNIQUE (node, agent, release, boot_id)
            ) STRICT
            """,
            # AUTOINCREMENT: the id is the order of arrival and a reader's cursor, so it is never used again.
            """
            CREATE TABLE event (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                event_id BLOB NOT NULL UNIQUE,
                type TEXT NOT NULL CHECK (type IN ('snapshot', 'build', 'run')),
                work INTEGER NOT NULL REFERENCES work (id),
                occurred_at INTEGER NOT NULL,
                received_at INTEGER NOT NULL,
                origin INTEGER REFERENCES origin (id),
                sequence INTEGER
            ) STRICT
            """,
            # Pages of one work's events in order of arrival, filtered by type inside the index.
            "CREATE INDEX event_work ON event (work, id, type)",
            """
            CREATE TABLE version (
                id INTEGER PRIMARY KEY REFERENCES event (id),
                file INTEGER NOT NULL REFERENCES source_file (id),
                occurred_at INTEGER NOT NULL,
                change TEXT NOT NULL CHECK (change IN ('created', 'modified', 'deleted')),
                size INTEGER NOT NULL,
                sha256 BLOB,
                snapshot_path TEXT,
                content_omitted TEXT,
                recovered INTEGER NOT NULL
            ) STRICT
            """,
            # size is in it so that sums over a file's history never touch the table.
            "CREATE INDEX version_file ON version (file, occurred_at, size)",
            """
            CREATE TABLE process (
                id INTEGER PRIMARY KEY REFERENCES event (id),
                work INTEGER NOT NULL REFERENCES work (id),
                kind TEXT NOT NULL CHECK (kind IN ('build', 'run')),
                occurred_at INTEGER NOT NULL,
                hostname TEXT,
                pid INTEGER,
                started_at INTEGER,
                process_type TEXT,
                binary_path TEXT NOT NULL,
                argv TEXT,
                cmdline TEXT,
                argv_truncated INTEGER NOT NULL,
                cwd TEXT NOT NULL,
                target_path TEXT NOT NULL,
                exit_code INTEGER,
                signal INTEGER,
                core_dumped INTEGER NOT NULL,
                replaced_by_exec INTEGER NOT NULL,
                already_running INTEGER NOT NULL
            ) STRICT
            """,
            "CREATE INDEX process_work ON process (work, kind, occurred_at)",
        ),
    ),
    Migration(
        2,
        "gaps, and processes whose hostname is another student's",
        (
            # A table of its own: a gap is of no work on an assignment. AUTOINCREMENT as in event. The causes are
            # the wire contract's and not repeated here: another one must not cost a new table.
            """
            CREATE TABLE gap (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                event_id BLOB NOT NULL UNIQUE,
                class_div TEXT,
                student_id INTEGER,
                started_at INTEGER,
                occurred_at INTEGER NOT NULL,
                received_at INTEGER NOT NULL,
                origin INTEGER NOT NULL REFERENCES origin (id),
                sequence INTEGER NOT NULL,
                cause TEXT NOT NULL,
                files_seen INTEGER,
                files_recovered INTEGER,
                events_lost INTEGER,
                detail TEXT,
                CHECK ((class_div IS NULL) = (student_id IS NULL)),
                CHECK (started_at IS NULL OR started_at <= occurred_at)
            ) STRICT
            """,
            # Each gives pages in order of arrival; NULL students are in the first, too: the gaps of whole nodes.
            "CREATE INDEX gap_student ON gap (student_id, id, class_div)",
            "CREATE INDEX gap_class ON gap (class_div, id)",
            "CREATE INDEX gap_origin ON gap (origin, id)",
            "CREATE INDEX gap_cause ON gap (cause, id)",
            # What lasted into an interval. started_at is in it so that the others never touch the table.
            "CREATE INDEX gap_time ON gap (occurred_at, started_at)",
            "ALTER TABLE process ADD COLUMN hostname_forged INTEGER NOT NULL DEFAULT 0",
        ),
    ),
)

SCHEMA_VERSION = MIGRATIONS[-1].version


def migrate(database: Database) -> None:
    """Run the steps that this database has not seen, all in one transaction.

    Raises NewerSchemaError, and changes nothing, where the database knows a version that this release does
    not.
    """
    with database.transaction():
        database.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migration (
                version INTEGER PRIMARY KEY,
                purpose TEXT NOT NULL,
                applied_at INTEGER NOT NULL
            )
            """
        )
        present = schema_version(database)
        if present > SCHEMA_VERSION:
            raise NewerSchemaError(
                f"the database has schema version {present}, this release knows up to {SCHEMA_VERSION}:"
                " install the release that wrote it, or restore a backup"
            )
        for migration in MIGRATIONS[present:]:
            for statement in migration.statements:
                database.execute(statement)
            database.execute(
                "INSERT INTO schema_migration (version, purpose, applied_at) VALUES (?, ?, ?)",
                (migration.version, migration.purpose, now_micros()),
            )


def schema_version(database: Database) -> int:
    """Return the newest version that the database has run, 0 for none."""
    row = database.execute("SELECT max(version) FROM schema_migration").fetchone()
    return row[0] if row and row[0] else 0
