"""The wheels of an archive: for every package and every supported Python one that pip takes there."""

import hashlib
import shutil
from collections.abc import Iterable
from email.parser import HeaderParser
from functools import partial
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from releasing.cache import BuildCache
from releasing.errors import ReleaseError
from releasing.locks import Locked, marker_applies, read_lock
from releasing.pip import build_from_index, build_from_sources, download_wheels, install_build_tools

SUPPORTED_PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# Ubuntu 22.04, the oldest node, has glibc 2.35. pip takes each name by itself, not as "up to".
_OLDEST_GLIBC = 35
_PLATFORMS = ["linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"] + [
    f"manylinux_2_{minor}_x86_64" for minor in range(5, _OLDEST_GLIBC + 1)
]
# These have no wheel in the package index; theirs is built from the source, once for all Pythons.
_SOURCE_ONLY = frozenset({"pyinotify"})


def collect_wheels(lock: Path, sources: Path, to: Path) -> str:
    """Put a wheel of `sources` and of all that its lock file names into `to`.

    Returns the text of the requirements file that allows these very files and no other.
    """
    cache = BuildCache()
    tools = install_build_tools(cache)
    locked = [each for each in read_lock(lock) if any(map(each.applies, SUPPORTED_PYTHONS))]
    for each in locked:
        if each.name in _SOURCE_ONLY:
            build = partial(build_from_index, each, tools)
            _copy(cache.folder("built", f"{each.pin} {tools.name}", build), to)
    for python in SUPPORTED_PYTHONS:
        wanted = [each for each in locked if each.name not in _SOURCE_ONLY and each.applies(python)]
        _copy(_downloaded(wanted, python, cache), to)
    own = build_from_sources(sources, tools, to)
    _check_complete(own, locked, lock)
    return _requirements([*(each.requirement for each in locked), _exactly(own)], to)


def _downloaded(wanted: list[Locked], python: str, cache: BuildCache) -> Path:
    """The folder with the wheels that pip takes for `wanted` on a Python."""
    target = ["--python-version", python, "--implementation", "cp"]
    target += [f"--platform={platform}" for platform in _PLATFORMS]
    download = partial(download_wheels, wanted, target)
    folder = cache.folder("wheels", f"{target} {[each.pin for each in wanted]}", download)
    hashes = {(each.name, each.version): each.hashes for each in wanted}
    for wheel in folder.iterdir():
        if _sha256(wheel) not in hashes[_name_and_version(wheel)]:
            raise ReleaseError(f"{wheel}: its sha256 is not the locked one: remove {folder} and build again")
    return folder


def _copy(wheels: Path, to: Path) -> None:
    for wheel in wheels.iterdir():
        shutil.copyfile(wheel, to / wheel.name)


def _check_complete(own: Path, locked: list[Locked], lock: Path) -> None:
    """Raise ReleaseError where a wheel needs what its lock file does not hold: no node could install it."""
    for wanted in _needs(own):
        for python in SUPPORTED_PYTHONS:
            fits = any(
                each.name == canonicalize_name(wanted.name)
                and each.applies(python)
                and wanted.specifier.contains(each.version)
                for each in locked
            )
            if marker_applies(wanted, python) and not fits:
                raise ReleaseError(
                    f"{lock}: nothing fits {wanted} on Python {python}: make it anew with `make lock`"
                )


def _needs(wheel: Path) -> list[Requirement]:
    with ZipFile(wheel) as content:
        (metadata,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        fields = HeaderParser().parsestr(content.read(metadata).decode())
    return [Requirement(value) for value in fields.get_all("Requires-Dist", [])]


def _requirements(requirements: Iterable[Requirement], wheels: Path) -> str:
    files: dict[tuple[str, str], list[str]] = {}
    for wheel in sorted(wheels.iterdir()):
        files.setdefault(_name_and_version(wheel), []).append(f"--hash=sha256:{_sha256(wheel)}")
    lines = []
    for requirement in requirements:
        (pin,) = requirement.specifier
        lines.append(" ".join([str(requirement), *files[canonicalize_name(requirement.name), pin.version]]))
    return "".join(f"{line}\n" for line in sorted(lines))


def _exactly(wheel: Path) -> Requirement:
    name, version = _name_and_version(wheel)
    return Requirement(f"{name}=={version}")


def _name_and_version(wheel: Path) -> tuple[str, str]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return name, str(version)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
