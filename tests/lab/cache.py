"""What takes minutes to make and never changes afterwards: kept on this machine between runs of the tests."""

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

CACHE = Path("/var/cache/watcher-lab")
"""May be removed at any time while no test runs: what is missing is made again."""


def cached(kind: str, made_from: object, make: Callable[[Path], None]) -> Path:
    """The directory of this kind that was made from exactly `made_from` (anything JSON can hold).

    Where there is none, `make` fills a new one, which gets its name only when it is complete.
    """
    digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
    found = CACHE / f"{kind}-{digest}"
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (CACHE / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found.is_dir():
            return found
        # The lock is ours, so an unfinished one is of a run that was killed.
        for unfinished in CACHE.glob(f"unfinished-{kind}-*"):
            shutil.rmtree(unfinished)
        directory = Path(tempfile.mkdtemp(prefix=f"unfinished-{kind}-", dir=CACHE))
        directory.chmod(0o755)
        make(directory)
        directory.rename(found)
    return found
