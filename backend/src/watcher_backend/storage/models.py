"""peewee models of the tables, for queries; the tables themselves are made by the migrations."""

from peewee import (
    AutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)


class Table(Model):
    """Base of all tables. Not bound to a database: every query is executed on the one that it is given."""

    class Meta:
        """peewee's options."""

        legacy_table_names = False


class Work(Table):
    """One student's work on one assignment."""

    id = AutoField()
    class_div = TextField()
    hw_name = TextField()
    student_id = BigIntegerField()


class SourceFile(Table):
    """A file of a work, by its name below the assignment."""

    id = AutoField()
    work = ForeignKeyField(Work, column_name="work")
    filename = TextField()


class Origin(Table):
    """An agent of one release on one node during one boot."""

    id = AutoField()
    agent = TextField()
    node = TextField()
    release = TextField()
    boot_id = TextField()


class Event(Table):
    """What every event has; id is the order of arrival."""

    id = AutoField()
    event_id = BlobField()
    type = TextField()
    work = ForeignKeyField(Work, column_name="work")
    occurred_at = BigIntegerField()
    received_at = BigIntegerField()
    origin = ForeignKeyField(Origin, column_name="origin", null=True)
    sequence = BigIntegerField(null=True)


class Version(Table):
    """The part of an event that is a saved version of a file, or its deletion."""

    id = ForeignKeyField(Event, column_name="id", primary_key=True)
    file = ForeignKeyField(SourceFile, column_name="file")
    occurred_at = BigIntegerField()
    change = TextField()
    size = BigIntegerField()
    sha256 = BlobField(null=True)
    snapshot_path = TextField(null=True)
    content_omitted = TextField(null=True)
    recovered = BooleanField()


class Process(Table):
    """The part of an event that is a build or a run."""

    id = ForeignKeyField(Event, column_name="id", primary_key=True)
    work = ForeignKeyField(Work, column_name="work")
    kind = TextField()
    occurred_at = BigIntegerField()
    hostname = TextField(null=True)
    pid = IntegerField(null=True)
    started_at = BigIntegerField(null=True)
    process_type = TextField(null=True)
    binary_path = TextField()
    argv = TextField(null=True)
    cmdline = TextField(null=True)
    argv_truncated = BooleanField()
    cwd = TextField()
    target_path = TextField()
    exit_code = IntegerField(null=True)
    signal = IntegerField(null=True)
    core_dumped = BooleanField()
    replaced_by_exec = BooleanField()
    already_running = BooleanField()
    hostname_forged = BooleanField()


class Gap(Table):
    """A time in which work was, or may have been, not recorded; id is the order of arrival."""

    id = AutoField()
    event_id = BlobField()
    class_div = TextField(null=True)
    student_id = BigIntegerField(null=True)
    started_at = BigIntegerField(null=True)
    occurred_at = BigIntegerField()
    received_at = BigIntegerField()
    origin = ForeignKeyField(Origin, column_name="origin")
    sequence = BigIntegerField()
    cause = TextField()
    files_seen = BigIntegerField(null=True)
    files_recovered = BigIntegerField(null=True)
    events_lost = BigIntegerField(null=True)
    detail = TextField(null=True)


class Removals(Table):
    """One row: how often rows were removed."""

    number = BigIntegerField()

    class Meta:
        """peewee's options."""

        primary_key = False


class SchemaMigration(Table):
    """A migration step that this database has run."""

    version = IntegerField(primary_key=True)
    purpose = TextField()
    applied_at = BigIntegerField()


ALL_TABLES: tuple[type[Table], ...] = (
    Work, SourceFile, Origin, Event, Version, Process, Gap, Removals, SchemaMigration,
)  # fmt: skip
