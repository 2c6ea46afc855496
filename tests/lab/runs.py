"""What a run of the lab sets up in the machine, numbered, so that nothing of it outlives the run for long.

All that belongs to run N of a kind is named after N alone. It can therefore be taken down without knowing what was
set up, by the run itself or, where that was killed, by the next one.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RUNS = Path("/var/tmp/watcher-lab")
_NUMBERS = range(1, 255)


@contextmanager
def numbered_run(
    kind: str, take_down: Callable[[int], None], is_free: Callable[[int], bool] = lambda _: True
) -> Iterator[tuple[int, Path]]:
    """A number that no other run of this kind has, and the run's directory; taken down and removed at the end.

    What runs that were killed have left is taken down first. RuntimeError where no number is free.
    """
    RUNS.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(RUNS / "lock"):
        for left in RUNS.glob(f"{kind}-*.lock"):
            _end_abandoned(kind, int(left.stem.rpartition("-")[2]), take_down)
        number = next((n for n in _NUMBERS if not _lock_file(kind, n).exists() and is_free(n)), None)
        if number is None:
            raise RuntimeError(f"no {kind} can be set up: the numbers {_NUMBERS} are all taken")
        descriptor = os.open(_lock_file(kind, number), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        directory = run_directory(kind, number)
        directory.mkdir()
    try:
        yield number, directory
    finally:
        try:
            with _locked(RUNS / "lock"):
                _end(kind, number, take_down)
        finally:
            os.close(descriptor)


def run_directory(kind: str, number: int) -> Path:
    """Where a run has its files."""
    return RUNS / f"{kind}-{number}"


def _end_abandoned(kind: str, number: int, take_down: Callable[[int], None]) -> None:
    descriptor = os.open(_lock_file(kind, number), os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its process lives
    else:
        _end(kind, number, take_down)
    finally:
        os.close(descriptor)


def _end(kind: str, number: int, take_down: Callable[[int], None]) -> None:
    take_down(number)
    directory = run_directory(kind, number)
    if directory.exists():
        shutil.rmtree(directory)
    _lock_file(kind, number).unlink()


def _lock_file(kind: str, number: int) -> Path:
    return RUNS / f"{kind}-{number}.lock"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
