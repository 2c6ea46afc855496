"""Settings: defaults, and one clear line for whatever is wrong."""

import logging
from pathlib import Path

import pytest

from watcher_backend.settings import SettingsError, read_settings


def test_every_setting_but_the_databases_directory_has_a_default(tmp_path: Path) -> None:
    settings = read_settings({"DB_URL": f"sqlite:///{tmp_path}/d.db"})
    assert settings.database_path == tmp_path / "d.db"
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


def test_the_password_of_a_database_that_is_not_supported_is_not_shown() -> None:
    with pytest.raises(SettingsError, match="PostgreSQL is not supported yet") as raised:
        read_settings({"DB_URL": "postgresql://watcher:secret@db/watcher"})
    assert "secret" not in str(raised.value)
