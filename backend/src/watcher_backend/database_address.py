"""Where the database is: what DB_URL says, and how it may be named where anybody can read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

_SQLITE_PREFIX = "sqlite:///"
_POSTGRES_SCHEMES = ("postgresql", "postgres")
_EXPECTED_POSTGRES = "postgresql://user:password@host:port/database"
# What of libpq's parameters an operator may have reason to set. The password is not one: it would be seen.
_PARAMETERS = (
    "application_name", "channel_binding", "connect_timeout", "gssencmode", "host", "sslcert", "sslcrl", "sslkey",
    "sslmode", "sslrootcert", "target_session_attrs",
)  # fmt: skip


class AddressError(Exception):
    """An address is wrong. shown: the value without its password; the text: what would be right."""

    def __init__(self, shown: str, expected: str) -> None:
        super().__init__(expected)
        self.shown = shown


@dataclass(frozen=True)
class SqliteFile:
    """A SQLite file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class PostgresServer:
    """A database on a PostgreSQL server. parameters: libpq's, like sslmode.

    host is a name, an address or the directory of a socket. The password is in no text that this makes.
    """

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{self.user}@{host}:{self.port}/{self.database}"


DatabaseAddress = SqliteFile | PostgresServer


def read_address(url: str, password: str | None = None) -> DatabaseAddress:
    """Read what DB_URL says; password: from elsewhere. Raises AddressError."""
    if url.partition("://")[0].partition("+")[0] in _POSTGRES_SCHEMES:
        return _postgres_server(url, password)
    if password is not None:
        raise AddressError(_shown(url), "a PostgreSQL address beside WATCHER_DB_PASSWORD_FILE")
    return _sqlite_file(url)


def _sqlite_file(url: str) -> SqliteFile:
    name = url.removeprefix(_SQLITE_PREFIX)
    if not url.startswith(_SQLITE_PREFIX) or not name or name.startswith(":") or "\0" in name:
        raise AddressError(_shown(url), f"sqlite:////absolute/path.db (four slashes) or {_EXPECTED_POSTGRES}")
    path = Path(name)
    if path.is_dir():
        raise AddressError(url, f"a file, and {path} is a directory")
    if not path.parent.is_dir():
        raise AddressError(url, f"a file in a directory that exists, and {path.parent} does not")
    return SqliteFile(path)


def _postgres_server(url: str, password: str | None) -> PostgresServer:
    def refuse(reason: str) -> NoReturn:
        raise AddressError(_shown(url), f"{_EXPECTED_POSTGRES}, and {reason}")

    scheme = url.partition("://")[0]
    if scheme not in _POSTGRES_SCHEMES:
        refuse(f"{scheme} names a driver, which is not ours to choose")
    if any(not character.isprintable() or character.isspace() for character in url):
        refuse("this has blanks or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        host = parts.hostname or ""
    except ValueError:
        # urllib's own text would show what it takes for the port: a part of a password that is not encoded.
        refuse("host or port cannot be told apart; in a password, write / as %2F, @ as %40 and : as %3A")
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            refuse(f"the parameter {name} is none of {', '.join(_PARAMETERS)}")
        parameters[name] = value
    host = parameters.pop("host", host)
    user = unquote(parts.username or "")
    database = unquote(parts.path.removeprefix("/"))
    if parts.fragment:
        refuse("a # must be written as %23")
    for what, given in (("host", host), ("user", user), ("database", database)):
        if not given or "\0" in given:
            refuse(f"the {what} is missing")
    if "/" in database:
        refuse("the database's name holds a /")
    own = None if parts.password is None else unquote(parts.password)
    if own is not None and password is not None:
        refuse("no password beside WATCHER_DB_PASSWORD_FILE")
    return PostgresServer(host, port, user, database, password if own is None else own, parameters)


def _shown(url: str) -> str:
    """Return an address without what may be a password: everything before the last @, and parameters."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        # It is no address at all; one whose :// was forgotten may still hold a password.
        return url if "@" not in url else "..."
    credentials, at, place = rest.rpartition("@")
    if not at:
        return f"{scheme}://..." if scheme.partition("+")[0] in _POSTGRES_SCHEMES else url
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}:...@{place.partition('?')[0].partition('#')[0]}"
