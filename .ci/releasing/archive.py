"""The archive: the same bytes whenever and by whomever it is made, and never there by half."""

import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

# No time of a build: the first second that the zip format of wheels knows.
RELEASE_EPOCH = 315532800


def pack(top: Path) -> Path:
    """Pack the folder `top` into `top`.tar.gz and return that."""
    archive = top.with_name(f"{top.name}.tar.gz")
    # Not level 0: how zlib cuts what it only stores depends on the sizes of writes, which differ between Pythons.
    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in [top, *sorted(top.rglob("*"))]:
            member = tar.gettarinfo(path, arcname=str(path.relative_to(top.parent)))
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            member.mtime = RELEASE_EPOCH
            member.mode = 0o755 if path.is_dir() else 0o644
            if path.is_dir():
                tar.addfile(member)
            else:
                with path.open("rb") as content:
                    tar.addfile(member, content)
    return archive


def publish(archives: Iterable[Path], to: Path) -> Iterator[Path]:
    """Put finished archives and their checksums into the folder `to`; yield where each is."""
    to.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        checksum = archive.with_name(f"{archive.name}.sha256")
        checksum.write_text(f"{digest}  {archive.name}\n")
        for made in (archive, checksum):
            _put(made, to / made.name)
        yield to / archive.name


def _put(made: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(made, part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
