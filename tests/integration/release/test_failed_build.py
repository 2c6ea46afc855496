"""A release that cannot be built says why in one line and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from integration.release.release_build import REPOSITORY, copy_checkout, release
from lab.waiting import wait_for


@pytest.fixture
def own_checkout(checkout: Path, tmp_path: Path) -> Path:
    """A checkout that the test may break."""
    return copy_checkout(tmp_path / "own", checkout)


def refused(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a build that must fail; its one line."""
    done = release(*arguments, environment=environment)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("release: ")
    return line


def need_more(checkout: Path) -> None:
    project = checkout / "agents" / "pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = [", 'dependencies = [\n"peewee>=3.17",'))


def drop_lock(checkout: Path) -> None:
    (checkout / "agents" / "requirements.lock").unlink()


def loosen_lock(checkout: Path) -> None:
    lock = checkout / "agents" / "requirements.lock"
    lock.write_text(lock.read_text().replace("tenacity==", "tenacity>="))


def change_hashes(checkout: Path) -> None:
    lock = checkout / "agents" / "requirements.lock"
    lock.write_text(re.sub("sha256:.{8}", "sha256:00000000", lock.read_text()))


def spoil_version(checkout: Path) -> None:
    (checkout / "agents" / "src" / "watcher_agents" / "__init__.py").write_text('__version__ = "one"\n')


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            need_more,
            "agents/requirements.lock: nothing fits peewee>=3.17 on Python 3.10: make it anew with `make lock`",
        ),
        (drop_lock, "agents/requirements.lock: there is no lock file: make it with `make lock`"),
        (loosen_lock, "expected name==version with a hash: make it with `make lock`"),
        (change_hashes, "THESE PACKAGES DO NOT MATCH THE HASHES"),
        (spoil_version, "agents/src/watcher_agents/__init__.py 'one': expected a version like 1.2.3 or 1.2.3rc1"),
    ],
)
def test_wrong_sources(spoil: Callable[[Path], None], said: str, own_checkout: Path, tmp_path: Path) -> None:
    """What is wrong with the sources is said, and no archive is there, of the other distribution neither."""
    spoil(own_checkout)
    assert said in refused("all", "--source", own_checkout, "--output", tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version", "new"], "--version 'new': expected a version like 1.2.3 or 1.2.3rc1"),
        (["--version", "1.0-rc1"], "--version '1.0-rc1': expected its canonical form 1.0rc1"),
        (["--source", "/usr"], "--source /usr: agents/pyproject.toml is not there: expected a checkout"),
        (["--output", "/dev/null"], "/dev/null: "),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, checkout: Path, tmp_path: Path) -> None:
    """A wrong argument is named with its value and what would be right."""
    assert said in refused("agents", "--source", checkout, "--output", tmp_path / "dist", *arguments)
    assert not (tmp_path / "dist").exists()


def test_without_network_and_cache(checkout: Path, tmp_path: Path) -> None:
    """Where nothing is in the cache and no index answers, what could not be fetched is named."""
    done = release(
        *("agents", "--source", checkout, "--output", tmp_path / "dist"),
        network=False,
        environment={"XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_RETRIES": "0"},
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("release: pip install of hatchling==")
    assert done.returncode == 1
    assert not (tmp_path / "dist").exists()
    assert list((tmp_path / "cache" / "watcher-release").iterdir()) == []


def test_a_changed_file_in_the_cache_is_refused(checkout: Path, tmp_path: Path) -> None:
    """A wheel in the cache that is not the locked one any more never gets into a release."""
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    arguments = ("agents", "--source", checkout, "--output", tmp_path / "dist")
    assert release(*arguments, environment=environment).returncode == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "dist").iterdir()}
    wheel = next((tmp_path / "cache" / "watcher-release").glob("wheels-*/httpx-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    said = refused(*arguments, environment=environment)
    assert f"{wheel}: its sha256 is not the locked one: remove {wheel.parent} and build again" in said
    assert {file.name: file.read_bytes() for file in (tmp_path / "dist").iterdir()} == before


def test_ended_from_outside(checkout: Path, tmp_path: Path) -> None:
    """A build that is told to stop leaves neither an archive nor scratch files."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / ".ci" / "release.py", "--source", checkout, "--output", tmp_path / "dist"],
        env=os.environ | {"TMPDIR": str(scratch), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    wait_for(lambda: list((tmp_path / "cache").glob("watcher-release/.filling-*")), "the build to be at work")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not (tmp_path / "dist").exists()
    assert list((tmp_path / "cache" / "watcher-release").glob(".filling-*")) == []
    assert list(scratch.glob("watcher-release-*")) == []
