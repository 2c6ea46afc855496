"""The backend's settings: read from the environment once, validated at start."""

import ipaddress
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watcher_backend.database_address import AddressError, DatabaseAddress, read_address

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """A setting is wrong; the text names the setting, its value and what would be right, in one line."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name} is {value!r}: expected {expected}")


@dataclass(frozen=True)
class Settings:
    """What an operator decides; see `read_settings` for names and defaults."""

    database: DatabaseAddress
    host: str
    port: int
    snapshot_root: Path
    timezone: ZoneInfo
    log_level: int

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a host name: who reaches it depends on the resolver


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read and validate all settings. Raises SettingsError on the first that is wrong.

    DB_URL (sqlite:////app/data/database.db), WATCHER_DB_PASSWORD_FILE (none), WATCHER_HOST (127.0.0.1),
    WATCHER_PORT (3000), WATCHER_SNAPSHOT_ROOT (/watcher/snapshots), WATCHER_TIMEZONE (Asia/Seoul),
    WATCHER_LOG_LEVEL or, where that is not set, LOG_LEVEL (INFO).
    """
    level_name = "LOG_LEVEL" if "WATCHER_LOG_LEVEL" not in environ else "WATCHER_LOG_LEVEL"
    return Settings(
        database=read_database(environ),
        host=_host(environ.get("WATCHER_HOST", "127.0.0.1")),
        port=_port(environ.get("WATCHER_PORT", "3000")),
        snapshot_root=_snapshot_root(environ.get("WATCHER_SNAPSHOT_ROOT", "/watcher/snapshots")),
        timezone=_timezone(environ.get("WATCHER_TIMEZONE", "Asia/Seoul")),
        log_level=_log_level(level_name, environ.get(level_name, "INFO")),
    )


def read_database(environ: Mapping[str, str]) -> DatabaseAddress:
    """Read where the database is. Raises SettingsError, which never shows a password."""
    password = None
    if file := environ.get("WATCHER_DB_PASSWORD_FILE"):
        password = _password(file)
    try:
        return read_address(environ.get("DB_URL", "sqlite:////app/data/database.db"), password)
    except AddressError as error:
        raise SettingsError("DB_URL", error.shown, str(error)) from None


def _password(file: str) -> str:
    try:
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            "WATCHER_DB_PASSWORD_FILE", file, f"a file with the database's password, and {reason}"
        ) from None
    if not password or "\0" in password or "\n" in password:
        raise SettingsError("WATCHER_DB_PASSWORD_FILE", file, "a file with one line, the database's password")
    return password


def _host(value: str) -> str:
    if not value or any(character.isspace() or not character.isprintable() for character in value):
        raise SettingsError("WATCHER_HOST", value, "an address or host name, like 127.0.0.1")
    return value


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65535):
        raise SettingsError("WATCHER_PORT", value, "a port from 1 to 65535")
    return int(value)


def _snapshot_root(value: str) -> Path:
    path = Path(value)
    if not path.is_absolute():
        raise SettingsError("WATCHER_SNAPSHOT_ROOT", value, "an absolute path")
    if path.exists() and not path.is_dir():
        raise SettingsError("WATCHER_SNAPSHOT_ROOT", value, "a directory")
    return path


def _timezone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: a path trick; OSError: the name of a directory of the zone database, like "Asia".
        raise SettingsError("WATCHER_TIMEZONE", value, "an IANA time zone, like Asia/Seoul") from None


def _log_level(name: str, value: str) -> int:
    if value.upper() not in _LOG_LEVELS:
        raise SettingsError(name, value, f"one of {', '.join(_LOG_LEVELS)}")
    level: int = getattr(logging, value.upper())
    return level
