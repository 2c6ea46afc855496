"""The backend's image, built for real, does its work with the least rights that a cluster can give it."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from integration.release.container_image import ImageStorage, RunningImage
from integration.release.release_build import REPOSITORY
from unit.backend import samples
from watcher_backend import __version__

# The first time the base file system is made, too.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageStorage]:
    made = ImageStorage(tmp_path_factory.mktemp("storage"))
    try:
        made.prepare()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def image(storage: ImageStorage) -> str:
    return storage.build("test-1")


@pytest.fixture(scope="module")
def settings(storage: ImageStorage, image: str) -> dict[str, Any]:
    return storage.settings_of(image)


@pytest.fixture(scope="module")
def root(storage: ImageStorage, image: str) -> Iterator[Path]:
    with storage.files_of(image) as files:
        yield files


@pytest.fixture
def running(settings: dict[str, Any], root: Path, tmp_path: Path) -> Iterator[RunningImage]:
    with RunningImage(f"watcher-test-{os.getpid()}", settings, root, tmp_path) as container:
        yield container


def test_settings(settings: dict[str, Any]) -> None:
    """The image says what it is, which port it serves, which volume it writes, and that it needs no root."""
    assert settings["User"] == "10001:10001"
    assert settings["ExposedPorts"] == {"3000/tcp": {}}
    assert settings["Volumes"] == {"/app/data": {}}
    assert settings["Labels"]["org.opencontainers.image.version"] == __version__
    assert settings["Labels"]["org.opencontainers.image.title"] == "watcher-backend"


def test_no_build_tools(root: Path) -> None:
    """What only building needs is not in the image: no pip, no compiler, no wheels, no package lists."""
    folders = [root / "opt/watcher-backend/venv/bin", root / "usr/bin"]
    programs = {file.name for folder in folders for file in folder.iterdir()}
    assert {"watcher-backend", "python3"} <= programs
    assert {name for name in programs if name.startswith(("pip", "gcc", "cc", "make", "git", "curl"))} == set()
    assert not (root / "release").exists()
    assert list((root / "opt").rglob("*.whl")) == []
    assert list((root / "var/lib/apt/lists").iterdir()) == []


def test_serves_with_the_least_rights(running: RunningImage) -> None:
    """On a read-only root, as a user without any capability: ready, stores, answers, stops when told to."""
    status = Path(f"/proc/{running.pid}/status").read_text()
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert root_options(running.pid)[0] == "ro"
    running.request("/readyz")
    event = samples.snapshot()
    running.request("/api/v1/events", samples.batch(event))
    assert running.request(f"/api/v1/events/{event['id']}")["filename"] == event["filename"]
    assert running.stop() == 0, running.log()
    database = running.data / "database.db"
    assert database.stat().st_uid == 10001
    with closing(sqlite3.connect(database)) as stored:
        assert stored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def root_options(pid: int) -> list[str]:
    """The options of a process's root mount."""
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    (options,) = [mount[5] for mount in mounts if mount[4] == "/"]
    return options.split(",")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "TAG is '': expected the image's tag"),
        ({"TAG": "a b"}, "TAG is 'a b': expected the image's tag"),
        ({"TAG": "1", "BUILDER": "kaniko"}, "BUILDER is 'kaniko': expected podman, buildah or docker"),
        ({"TAG": "1", "BUILDER": "buildah"}, "BUILDER is 'buildah', which is not installed"),
        ({"TAG": "1"}, "nothing to build with: install podman, buildah or docker"),
    ],
)
def test_what_is_missing_is_said(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    """Without a tag or a builder nothing is built, and one line says what would be right."""
    # A machine with nothing installed but what the script itself needs.
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = subprocess.run(
        ["/bin/bash", str(REPOSITORY / ".ci" / "image")],
        env={"PATH": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"image: {said}")
