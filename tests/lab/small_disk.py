"""A small file system of its own, to be filled, made read-only and taken away."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILLER = "filler"


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, point: Path) -> None:
        self.point = point

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.point / _FILLER).open("ab", buffering=0) as filler:
            for size in (65536, 4096, 512, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        """Take back what filled it."""
        (self.point / _FILLER).unlink()

    def used(self) -> int:
        """Bytes that are taken."""
        status = os.statvfs(self.point)
        return (status.f_blocks - status.f_bfree) * status.f_frsize


@contextmanager
def small_disk(point: Path, size: str) -> Iterator[SmallDisk]:
    """A tmpfs of this size (as in tmpfs(5)) at `point`, which is made."""
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", point], check=True)
    try:
        yield SmallDisk(point)
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)
