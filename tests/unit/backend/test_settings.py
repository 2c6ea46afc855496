"""Settings: defaults, and one clear line for whatever is wrong."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from watcher_backend.database_address import PostgresServer, SqliteFile
from watcher_backend.settings import SettingsError, read_settings


def test_every_setting_but_the_databases_directory_has_a_default(tmp_path: Path) -> None:
    settings = read_settings({"DB_URL": f"sqlite:///{tmp_path}/d.db"})
    assert settings.database == SqliteFile(tmp_path / "d.db")
    assert (settings.host, settings.port, str(settings.timezone)) == ("127.0.0.1", 3000, "Asia/Seoul")
    assert settings.snapshot_root == Path("/watcher/snapshots")
    assert settings.log_level == logging.INFO
    assert settings.loopback_only


def test_log_level_is_also_read_from_its_old_name_and_the_new_one_wins(tmp_path: Path) -> None:
    environ = {"DB_URL": f"sqlite:///{tmp_path}/d.db", "LOG_LEVEL": "debug"}
    assert read_settings(environ).log_level == logging.DEBUG
    assert read_settings({**environ, "WATCHER_LOG_LEVEL": "ERROR"}).log_level == logging.ERROR


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("watcher.local", False)],
)
def test_only_an_address_of_this_machine_counts_as_loopback(tmp_path: Path, host: str, loopback: bool) -> None:
    settings = read_settings({"DB_URL": f"sqlite:///{tmp_path}/d.db", "WATCHER_HOST": host})
    assert settings.loopback_only is loopback


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DB_URL", "mysql://x/y", "expected sqlite:////absolute/path.db"),
        ("DB_URL", "sqlite://", "expected sqlite:////absolute/path.db"),
        ("DB_URL", "sqlite:///:memory:", "expected sqlite:////absolute/path.db"),
        (
            "DB_URL",
            "sqlite:////no/such/directory/d.db",
            "a directory that exists, and /no/such/directory does not",
        ),
        ("DB_URL", "sqlite:////tmp", "is a directory"),
        ("WATCHER_DB_PASSWORD_FILE", "/no/such/file", "No such file"),
        ("WATCHER_DB_PASSWORD_FILE", "/", "Is a directory"),
        ("WATCHER_DB_PASSWORD_FILE", "/dev/null", "one line"),
        ("WATCHER_HOST", "", "expected an address"),
        ("WATCHER_HOST", "a\nb", "expected an address"),
        ("WATCHER_PORT", "0", "1 to 65535"),
        ("WATCHER_PORT", "65536", "1 to 65535"),
        ("WATCHER_PORT", "٣٠٠٠", "1 to 65535"),
        ("WATCHER_PORT", "http", "1 to 65535"),
        ("WATCHER_SNAPSHOT_ROOT", "snapshots", "absolute path"),
        ("WATCHER_SNAPSHOT_ROOT", "/etc/passwd", "a directory"),
        ("WATCHER_TIMEZONE", "Asia/Seul", "IANA time zone"),
        ("WATCHER_TIMEZONE", "Asia", "IANA time zone"),
        ("WATCHER_TIMEZONE", "../../etc/passwd", "IANA time zone"),
        ("WATCHER_TIMEZONE", "", "IANA time zone"),
        ("WATCHER_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("LOG_LEVEL", "", "DEBUG, INFO"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right_in_one_line(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({"DB_URL": f"sqlite:///{tmp_path}/d.db", name: value})
    message = str(raised.value)
    assert message.startswith(f"{name} is {value!r}: expected ")
    assert expected in message
    assert len(message.splitlines()) == 1


ADDRESS = PostgresServer("db.example.edu", 5432, "watcher", "events")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://watcher@db.example.edu/events", ADDRESS),
        ("postgres://watcher:s3%40:%2F@db.example.edu:6000/events", replace(ADDRESS, port=6000, password="s3@:/")),
        ("postgresql://watcher@[::1]/events", replace(ADDRESS, host="::1")),
        ("postgresql://watcher@/events?host=/run/postgresql", replace(ADDRESS, host="/run/postgresql")),
        (
            "postgresql://watcher@db.example.edu/events?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem",
            replace(ADDRESS, parameters={"sslmode": "verify-full", "sslrootcert": "/etc/ssl/ca.pem"}),
        ),
    ],
)
def test_a_server_is_read_from_its_address(url: str, address: PostgresServer) -> None:
    assert read_settings({"DB_URL": url}).database == address


def test_the_password_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    environ = {
        "DB_URL": "postgresql://watcher@db.example.edu/events",
        "WATCHER_DB_PASSWORD_FILE": str(tmp_path / "password"),
    }
    assert read_settings(environ).database == replace(ADDRESS, password="s3cret")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg2://watcher:hunter2@db/events", "names a driver"),
        ("postgresql://watcher:hunter2@db:many/events", "write / as %2F"),
        ("postgresql://watcher:hunter2/x@db/events", "write / as %2F"),
        ("postgresql://watcher:hunter2#x@db/events", "write"),
        ("postgresql://watcher:hunter2@db:99999/events", "write / as %2F"),
        ("postgresql://watcher:hunter2@db/", "the database is missing"),
        ("postgresql://:hunter2@db/events", "the user is missing"),
        ("postgresql://watcher:hunter2@/events", "the host is missing"),
        ("postgresql://watcher:hunter2@db/a/b", "holds a /"),
        ("postgresql://watcher:hunter2@db/events?sslmod=require", "the parameter sslmod is none of"),
        ("postgresql://watcher@db/events?password=hunter2", "the parameter password is none of"),
        ("postgresql://watcher:hunter2 @db/events", "blanks"),
        ("postgresql://watcher:hunter2@db/events\n", "blanks"),
        ("mysql://watcher:hunter2@db/events", "postgresql://user:password@host:port/database"),
        ("watcher:hunter2@db/events", "postgresql://user:password@host:port/database"),
    ],
)
def test_a_wrong_address_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({"DB_URL": url})
    message = str(raised.value)
    assert message.startswith("DB_URL is '")
    assert said in message
    assert "hunter2" not in message
    assert len(message.splitlines()) == 1


def test_one_password_is_enough(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    file = {"WATCHER_DB_PASSWORD_FILE": str(tmp_path / "password")}
    with pytest.raises(SettingsError, match="no password beside WATCHER_DB_PASSWORD_FILE"):
        read_settings({"DB_URL": "postgresql://watcher:hunter2@db/events", **file})
    with pytest.raises(SettingsError, match="a PostgreSQL address beside"):
        read_settings({"DB_URL": f"sqlite:///{tmp_path}/d.db", **file})


def test_no_text_of_an_address_has_its_password() -> None:
    settings = read_settings({"DB_URL": "postgresql://watcher:hunter2@db/events"})
    assert "hunter2" not in f"{settings} {settings.database} {settings.database!r}"
