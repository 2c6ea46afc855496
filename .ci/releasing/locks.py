"""Lock files: every package that a distribution needs, on every Python, with the hashes of its files."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from releasing.distributions import DISTRIBUTIONS
from releasing.errors import ReleaseError

OLDEST_PYTHON = "3.10"
BUILD_TOOLS_LOCK = Path(".ci", "build-tools.lock")
# What the wheels that are built here are built with; hatchling is what the pyproject.toml of both ask for.
# setuptools has its own copy of wheel, but takes another where this Python happens to see one.
_BUILD_TOOLS = "hatchling\nsetuptools\nwheel\n"


@dataclass(frozen=True)
class Locked:
    """One line of a lock file: a package at one version, where it applies, and its files' sha256 in hex."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        """The package's name in its canonical form."""
        return canonicalize_name(self.requirement.name)

    @property
    def pin(self) -> str:
        """The line without its marker, as pip's requirements files have it."""
        return " ".join(
            [f"{self.name}=={self.version}", *(f"--hash=sha256:{value}" for value in sorted(self.hashes))]
        )

    @property
    def version(self) -> str:
        """The one version that is locked."""
        return next(iter(self.requirement.specifier)).version

    def applies(self, python: str) -> bool:
        """Whether any release of the CPython `python` ("3.11") on Linux, x86-64, needs the package."""
        return marker_applies(self.requirement, python)


def marker_applies(requirement: Requirement, python: str) -> bool:
    """Whether a requirement holds on any release of CPython `python` ("3.11") on Linux, x86-64."""
    if requirement.marker is None:
        return True
    # A marker may draw its line between two patch releases: the first and the last see both sides of it.
    return any(
        requirement.marker.evaluate(
            {
                "extra": "",
                "implementation_name": "cpython",
                "implementation_version": f"{python}.{patch}",
                "os_name": "posix",
                "platform_machine": "x86_64",
                "platform_python_implementation": "CPython",
                "platform_system": "Linux",
                "python_full_version": f"{python}.{patch}",
                "python_version": python,
                "sys_platform": "linux",
            }
        )
        for patch in (0, 99)
    )


def read_lock(path: Path) -> list[Locked]:
    """All lines of a lock file. Raises ReleaseError where it is not one that `lock` wrote."""
    if not path.is_file():
        raise ReleaseError(f"{path}: there is no lock file: make it with `make lock`")
    return list(_lines(path))


def _lines(path: Path) -> Iterator[Locked]:
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin, *hashes = line.split(" --hash=sha256:")
        try:
            requirement = Requirement(pin.strip())
        except InvalidRequirement:
            raise ReleaseError(f"{path}: {pin.strip()!r} is no requirement: make it with `make lock`") from None
        if [specifier.operator for specifier in requirement.specifier] != ["=="] or not hashes:
            raise ReleaseError(
                f"{path}: {pin.strip()!r}: expected name==version with a hash: make it with `make lock`"
            )
        yield Locked(requirement, frozenset(value.strip() for value in hashes))


def write_locks(source: Path, *, upgrade: bool) -> None:
    """Lock both distributions and the build tools of the checkout `source`; keep versions unless `upgrade`."""
    for distribution in DISTRIBUTIONS.values():
        _compile(str(source / distribution.room / "pyproject.toml"), "", source / distribution.lock_file, upgrade)
    _compile("-", _BUILD_TOOLS, source / BUILD_TOOLS_LOCK, upgrade)


def _compile(wanted: str, standard_input: str, lock: Path, upgrade: bool) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        raise ReleaseError("uv is not there: locking needs it; install it with pip")
    command = [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--python-version",
        OLDEST_PYTHON,
    ]
    command += ["--no-emit-index-url", "--no-annotate", "--custom-compile-command", "make lock"]
    command += ["--upgrade"] if upgrade else []
    done = subprocess.run(
        [*command, "--output-file", str(lock), wanted],
        input=standard_input,
        env=os.environ | _index(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ReleaseError(f"{lock} cannot be made: {' '.join(done.stderr.split())}")


def _index() -> dict[str, str]:
    """The site's package index, told to uv, which does not read pip's configuration."""
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    # pip ends with an error where nothing is configured: then both take the public index.
    return {"UV_DEFAULT_INDEX": configured.stdout.strip()} if configured.returncode == 0 else {}
