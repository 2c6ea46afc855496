"""A real PostgreSQL server of the tests' own: on a free port of loopback, in a directory that goes with it."""

import itertools
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from lab.stack import free_port
from lab.waiting import wait_for
from watcher_backend.database_address import DatabaseAddress, PostgresServer, SqliteFile

BOTH = ("sqlite", "postgresql")

USER = "watcher"
# With all that an address needs written in another way.
PASSWORD = "pass:w/ord@%#?"

_START_SECONDS = 60
_numbers = itertools.count(1)


class DatabaseServer:
    """A running server. ``with`` ends it and removes its directory.

    It does not flush to disk: it outlives a kill of its own, as in the tests, and need not outlive the machine.
    """

    def __init__(self) -> None:
        """Make a cluster whose role USER has to say its password, and start it."""
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="watcher-postgres-"))
        shutil.chown(self._directory, "postgres", "postgres")
        password_file = self._directory / "password"
        password_file.write_text(PASSWORD)
        shutil.chown(password_file, "postgres", "postgres")
        self._run(
            "initdb", "--pgdata", str(self._data), "--username", USER, "--pwfile", str(password_file),
            "--auth", "scram-sha-256", "--no-locale", "--encoding", "UTF8", "--no-sync",
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> "DatabaseServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def socket_directory(self) -> Path:
        """Where the server's socket is."""
        return self._directory

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_as_postgres("--pdeathsig", "QUIT"), _program("postgres"), "-D", str(self._data),
                    "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._directory),
                    "-c", "fsync=off", "-c", "max_connections=60",
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip
        wait_for(self._answers, "the PostgreSQL server to answer", _START_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT throws its clients out, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """Return a connection of the tests' own."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database, autocommit=True
        )

    @contextmanager
    def database(self, options: str = "") -> Iterator[PostgresServer]:
        """Make an empty database and remove it at the end."""
        name = f"d{next(_numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}".encode())
        yield PostgresServer("127.0.0.1", self.port, USER, name, PASSWORD)
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def log(self) -> str:
        """Return what the server wrote."""
        return (self._directory / "log").read_text()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False  # it does not listen yet, or is still reading its log
        return True

    def _run(self, program: str, *arguments: str) -> None:
        ended = subprocess.run(
            [*_as_postgres(), _program(program), *arguments],
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


def _as_postgres(*options: str) -> list[str]:
    # The server refuses to run as root.
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *options]


def _program(name: str) -> str:
    """Return the path of a server's program: Debian keeps each version's out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found, f"{name} is not installed: run `make test`, which installs postgresql"
    return str(found[-1])


@contextmanager
def empty_database(request: pytest.FixtureRequest, directory: Path) -> Iterator[DatabaseAddress]:
    """Give a fixture with the parameters BOTH an empty database of that kind; a file is ``directory``/d.db."""
    if request.param == "sqlite":
        yield SqliteFile(directory / "d.db")
        return
    server: DatabaseServer = request.getfixturevalue("database_server")
    with server.database() as address:
        yield address


def url_of(address: DatabaseAddress) -> str:
    """Return what DB_URL says of an address."""
    if isinstance(address, SqliteFile):
        return f"sqlite:///{address.path}"
    password = "" if address.password is None else f":{quote(address.password, safe='')}"
    return f"postgresql://{address.user}{password}@{address.host}:{address.port}/{address.database}"
