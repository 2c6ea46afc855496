"""Starting, refusing to start, and stopping."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from integration.backend.server import Server, run_program
from lab.postgres import url_of
from unit.backend import samples
from watcher_backend.database_address import DatabaseAddress, SqliteFile
from watcher_backend.storage.opening import connect, open_database


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DB_URL", "postgresql://watcher:secret@db:many/watcher", "write / as %2F"),
        ("WATCHER_DB_PASSWORD_FILE", "/no/such/file", "No such file"),
        ("DB_URL", "sqlite:////no/such/place/d.db", "/no/such/place does not"),
        ("WATCHER_HOST", "", "expected an address"),
        ("WATCHER_PORT", "http", "1 to 65535"),
        ("WATCHER_SNAPSHOT_ROOT", "relative", "absolute path"),
        ("WATCHER_TIMEZONE", "Seoul", "IANA time zone"),
        ("WATCHER_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO"),
    ],
)
def test_a_wrong_setting_ends_the_program_with_one_line(tmp_path: Path, name: str, value: str, said: str) -> None:
    ended = run_program({"DB_URL": f"sqlite:///{tmp_path}/d.db", name: value})
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"{name} is ")
    assert said in line
    assert "secret" not in line
    assert list(tmp_path.iterdir()) == []


def test_settings_can_be_checked_without_serving(tmp_path: Path) -> None:
    environ = {"DB_URL": f"sqlite:///{tmp_path}/d.db"}
    assert run_program(environ, "--check-settings").returncode == 0
    assert run_program({**environ, "WATCHER_PORT": "0"}, "--check-settings").returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_a_running_backend_is_restored_by_another(server: Server, tmp_path: Path) -> None:
    stop = threading.Event()

    def work() -> None:
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False, timeout=60) as client:
            while not stop.is_set():
                answer = client.post("/api/v1/events", json=samples.batch(samples.snapshot(), samples.gap()))
                assert answer.status_code == 200, answer.text

    first = samples.snapshot()
    server.post("/api/v1/events", samples.batch(first))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            done = run_program({"DB_URL": url_of(server.address)}, "backup", str(tmp_path / "backup.db"))
        finally:
            stop.set()
        working.result(timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"backed up {server.address} to {tmp_path}/backup.db: ")
    environ = {"DB_URL": f"sqlite:///{tmp_path}/restored.db"}
    done = run_program(environ, "restore", str(tmp_path / "backup.db"))
    assert (done.returncode, done.stderr) == (0, "")
    again = run_program(environ, "restore", str(tmp_path / "backup.db"))
    assert again.returncode == 1
    assert (
        again.stderr == "watcher-backend: the database is not empty: expected --force to replace what it holds\n"
    )
    assert run_program(environ, "restore", "--force", str(tmp_path / "backup.db")).returncode == 0
    (tmp_path / "second").mkdir()
    with Server(tmp_path / "second", address=SqliteFile(tmp_path / "restored.db")) as restored:
        found = restored.get("/api/v1/events", limit=1000)["events"]
        assert found[0]["id"] == first["id"]
        assert found == server.get("/api/v1/events", limit=len(found))["events"]


def test_help_names_every_setting_and_version_the_release() -> None:
    shown = run_program({}, "--help")
    assert shown.returncode == 0
    for name in (
        "DB_URL",
        "WATCHER_HOST",
        "WATCHER_PORT",
        "WATCHER_SNAPSHOT_ROOT",
        "WATCHER_TIMEZONE",
        "LOG_LEVEL",
    ):
        assert name in shown.stdout
    assert run_program({}, "--version").stdout.startswith("watcher-backend 0.")


def test_a_database_of_a_newer_release_is_refused_in_one_line(address: DatabaseAddress) -> None:
    with closing(open_database(address)) as database, database.connection():
        database.execute("INSERT INTO schema_migration VALUES (999, 'later', 0)")
    ended = run_program({"DB_URL": url_of(address)})
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "schema version 999" in line


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"something else entirely\n" * 100)
    ended = run_program({"DB_URL": f"sqlite:///{tmp_path}/d.db"})
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "not a database" in line
    assert (tmp_path / "d.db").read_bytes() == b"something else entirely\n" * 100


def test_a_port_that_is_taken_ends_the_program(server: Server, tmp_path: Path) -> None:
    environ = {"DB_URL": f"sqlite:///{tmp_path}/other.db", "WATCHER_PORT": str(server.port)}
    ended = run_program(environ)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in ended.stderr.splitlines()[-1]


def test_beyond_loopback_it_says_loudly_that_it_is_open(tmp_path: Path) -> None:
    with Server(tmp_path, {"WATCHER_HOST": "0.0.0.0"}) as server:
        [line] = [line for line in server.log().splitlines() if "OPEN TO ANYONE" in line]
        assert line.startswith("WARNING: ")
    (tmp_path / "log").unlink()
    with Server(tmp_path) as server:
        assert "OPEN TO ANYONE" not in server.log()


def test_a_snapshot_volume_that_is_not_mounted_yet_is_a_warning(tmp_path: Path) -> None:
    with Server(tmp_path, {"WATCHER_SNAPSHOT_ROOT": str(tmp_path / "later")}) as server:
        assert any(line.startswith("WARNING: snapshot root") for line in server.log().splitlines())


def test_old_answers_are_in_the_zone_that_is_set(tmp_path: Path) -> None:
    with Server(tmp_path, {"WATCHER_TIMEZONE": "America/New_York"}) as server:
        server.post("/api/os-1/hw1/1/a.c/20250730_061753.c", {"bytes": 1})
        assert server.get("/api/os-1/hw1/1/a.c") == ["20250730_021753"]


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_middle_of_work_it_loses_nothing_and_ends_well(
    tmp_path: Path, address: DatabaseAddress, told: signal.Signals
) -> None:
    answered: list[str] = []
    under_way = threading.Event()

    def work(server: Server) -> None:
        with httpx.Client(base_url=str(server.client.base_url), trust_env=False) as client:
            while True:
                event = samples.snapshot()
                try:
                    answer = client.post("/api/v1/events", json=samples.batch(event))
                except httpx.TransportError:
                    return  # it has stopped
                if answer.status_code == 200:
                    answered.append(event["id"])
                if len(answered) >= 50:
                    under_way.set()

    with Server(tmp_path, address=address) as server:
        workers = [threading.Thread(target=work, args=(server,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        assert under_way.wait(60)
        os.kill(server.process.pid, told)
        assert server.process.wait(40) == 0, server.log()
        for worker in workers:
            worker.join(60)
    assert "Traceback" not in server.log()
    assert not (tmp_path / "d.db-wal").exists(), "the write-ahead log was folded into the file"
    with closing(connect(address)) as database, database.connection():
        rows = database.execute("SELECT event_id FROM event").fetchall()
    stored = {event_id.hex() for (event_id,) in rows}
    assert set(answered) <= stored
