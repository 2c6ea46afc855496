"""Fixtures on the real kernel: a pod's directory, the tester programs, one capture for all tests."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.procmon.student_pod import Observer, Pod, Recorder
from watcher_agents.procmon.capture import ProcessCapture


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory on the machine's disk: the file system of /tmp may be another."""
    path = Path("/var/tmp") / f"watcher-procmon-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def pod(directory: Path) -> Pod:
    return Pod(directory)


@pytest.fixture(scope="session")
def testers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled tester programs, each provoking one hard case."""
    build = tmp_path_factory.mktemp("testers")
    for source in sorted((Path(__file__).parent / "testers").glob("*.c")):
        subprocess.run(["/usr/bin/gcc", "-pthread", "-o", build / source.stem, source], check=True)
    return build


@pytest.fixture(scope="session")
def session_recorder() -> Iterator[tuple[ProcessCapture, Recorder]]:
    recorder = Recorder()
    capture = recorder.capture()
    with capture:
        yield capture, recorder
    assert recorder.failures == []


@pytest.fixture
def capture(session_recorder: tuple[ProcessCapture, Recorder]) -> ProcessCapture:
    """The capture that all tests of a session share: loading one takes half a second."""
    return session_recorder[0]


@pytest.fixture
def recorder(session_recorder: tuple[ProcessCapture, Recorder]) -> Recorder:
    """What the shared capture has handed over during this test."""
    session_recorder[1].clear()
    return session_recorder[1]


@pytest.fixture
def observer() -> Iterator[Observer]:
    observed = Observer()
    yield observed
    observed.probe.close()


@pytest.fixture
def make_observer() -> Iterator[Callable[..., Observer]]:
    """Makes observers with limits of the test's choosing."""
    made: list[Observer] = []

    def make(**limits: int) -> Observer:
        made.append(Observer(**limits))
        return made[-1]

    yield make
    for observed in made:
        observed.probe.close()
