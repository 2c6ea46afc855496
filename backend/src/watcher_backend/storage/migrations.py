"""The schema, as the ordered list of steps that led to it.

A released step is never edited: databases in the field have run it. A change is a new step at the end, and both
databases run it: the words in braces are what they call the same thing (`sqlite` and `postgres` list them).
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


# Times are microseconds since 1970-01-01T00:00:00 UTC.
MIGRATIONS: Sequence[Migration] = (
    Migration(
        1,
        "events of filemon and procmon, and of the agents before them",
        (
            # One student's work on one assignment.
            """
            CREATE TABLE work (
                id {key},
                class_div {text} NOT NULL,
                hw_name {text} NOT NULL,
                student_id {integer} NOT NULL,
                UNIQUE (class_div, hw_name, student_id)
            ){strict}
            """,
            "CREATE INDEX work_student ON work (student_id)",
            """
            CREATE TABLE source_file (
                id {key},
                work {integer} NOT NULL REFERENCES work (id),
                filename {text} NOT NULL,
                UNIQUE (work, filename)
            ){strict}
            """,
            # An agent of one release on one node during one boot; kept apart because a row of event would
            # otherwise repeat a hundred bytes.
            """
            CREATE TABLE origin (
                id {key},
                agent {text} NOT NULL,
                node {text} NOT NULL,
                release {text} NOT NULL,
                boot_id {text} NOT NULL,
                UNIQUE (node, agent, release, boot_id)
            ){strict}
            """,
            # The id is the order of arrival and a reader's cursor, so it is never used again.
            """
            CREATE TABLE event (
                id {arrival_key},
                event_id {blob} NOT NULL UNIQUE,
                type {text} NOT NULL CHECK (type IN ('snapshot', 'build', 'run')),
                work {integer} NOT NULL REFERENCES work (id),
                occurred_at {integer} NOT NULL,
                received_at {integer} NOT NULL,
                origin {integer} REFERENCES origin (id),
                sequence {integer}
            ){strict}
            """,
            # Pages of one work's events in order of arrival, filtered by type inside the index.
            "CREATE INDEX event_work ON event (work, id, type)",
            """
            CREATE TABLE version (
                id {given_key} REFERENCES event (id),
                file {integer} NOT NULL REFERENCES source_file (id),
                occurred_at {integer} NOT NULL,
                change {text} NOT NULL CHECK (change IN ('created', 'modified', 'deleted')),
                size {integer} NOT NULL,
                sha256 {blob},
                snapshot_path {text},
                content_omitted {text},
                recovered {boolean} NOT NULL
            ){strict}
            """,
            # size is in it so that sums over a file's history never touch the table.
            "CREATE INDEX version_file ON version (file, occurred_at, size)",
            """
            CREATE TABLE process (
                id {given_key} REFERENCES event (id),
                work {integer} NOT NULL REFERENCES work (id),
                kind {text} NOT NULL CHECK (kind IN ('build', 'run')),
                occurred_at {integer} NOT NULL,
                hostname {text},
                pid {integer},
                started_at {integer},
                process_type {text},
                binary_path {text} NOT NULL,
                argv {text},
                cmdline {text},
                argv_truncated {boolean} NOT NULL,
                cwd {text} NOT NULL,
                target_path {text} NOT NULL,
                exit_code {integer},
                signal {integer},
                core_dumped {boolean} NOT NULL,
                replaced_by_exec {boolean} NOT NULL,
                already_running {boolean} NOT NULL
            ){strict}
            """,
            "CREATE INDEX process_work ON process (work, kind, occurred_at)",
        ),
    ),
    Migration(
        2,
        "gaps, and processes whose hostname is another student's",
        (
            # A table of its own: a gap is of no work on an assignment. The id is as in event. The causes are
            # the wire contract's and not repeated here: another one must not cost a new table.
            """
            CREATE TABLE gap (
                id {arrival_key},
                event_id {blob} NOT NULL UNIQUE,
                class_div {text},
                student_id {integer},
                started_at {integer},
                occurred_at {integer} NOT NULL,
                received_at {integer} NOT NULL,
                origin {integer} NOT NULL REFERENCES origin (id),
                sequence {integer} NOT NULL,
                cause {text} NOT NULL,
                files_seen {integer},
                files_recovered {integer},
                events_lost {integer},
                detail {text},
                CHECK ((class_div IS NULL) = (student_id IS NULL)),
                CHECK (started_at IS NULL OR started_at <= occurred_at)
            ){strict}
            """,
            # Each gives pages in order of arrival; NULL students are in the first, too: the gaps of whole nodes.
            "CREATE INDEX gap_student ON gap (student_id, id, class_div)",
            "CREATE INDEX gap_class ON gap (class_div, id)",
            "CREATE INDEX gap_origin ON gap (origin, id)",
            "CREATE INDEX gap_cause ON gap (cause, id)",
            # What lasted into an interval. started_at is in it so that the others never touch the table.
            "CREATE INDEX gap_time ON gap (occurred_at, started_at)",
            "ALTER TABLE process ADD COLUMN hostname_forged {boolean} NOT NULL DEFAULT {false}",
        ),
    ),
    Migration(
        3,
        "replicas that write in turn",
        (
            # How often rows were removed, so that a writer notices when what it remembers of them is void.
            "CREATE TABLE removals (number {integer} NOT NULL){strict}",
            "INSERT INTO removals (number) VALUES (0)",
        ),
    ),
)

SCHEMA_VERSION = MIGRATIONS[-1].version

_SCHEMA_MIGRATION = """
            CREATE TABLE IF NOT EXISTS schema_migration (
                version {given_key},
                purpose {text} NOT NULL,
                applied_at {integer} NOT NULL
            )
            """


def migrate(database: Database) -> None:
    """Run the steps that this database has not seen, all in one transaction.

    Of replicas that start together one runs them, and the others wait for it.

    Raises NewerSchemaError, and changes nothing, where the database knows a version that this release does
    not.
    """
    with database.transaction(patient=True):
        database.execute(database.schema(_SCHEMA_MIGRATION))
        present = schema_version(database)
        if present > SCHEMA_VERSION:
            raise NewerSchemaError(
                f"the database has schema version {present}, this release knows up to {SCHEMA_VERSION}:"
                " install the release that wrote it, or restore a backup"
            )
        for migration in MIGRATIONS[present:]:
            for statement in migration.statements:
                database.execute(database.schema(statement))
            param = database.param
            database.execute(
                f"INSERT INTO schema_migration (version, purpose, applied_at) VALUES ({param}, {param}, {param})",
                (migration.version, migration.purpose, now_micros()),
            )


def schema_version(database: Database) -> int:
    """Return the newest version that the database has run, 0 for none."""
    row = database.execute("SELECT max(version) FROM schema_migration").fetchone()
    return row[0] if row and row[0] else 0
