"""The two distributions that are released, their sources and versions."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from releasing.errors import ReleaseError

_VERSION_LINE = re.compile(r'^__version__ = "([^"]*)"$', re.MULTILINE)


@dataclass(frozen=True)
class Distribution:
    """One of them: its name, and the room of the repository that it lies in."""

    name: str
    room: str

    @property
    def lock_file(self) -> Path:
        """Its lock file, from the top of the repository."""
        return Path(self.room, "requirements.lock")

    @property
    def version_file(self) -> Path:
        """The module that holds its version, from its room."""
        return Path("src", self.name.replace("-", "_"), "__init__.py")


DISTRIBUTIONS = {
    "agents": Distribution("watcher-agents", "agents"),
    "backend": Distribution("watcher-backend", "backend"),
}


def copy_sources(distribution: Distribution, source: Path, to: Path, version: str | None) -> Path:
    """Copy what a wheel is made of from the checkout `source` below `to`, calling itself `version` where given."""
    room = source / distribution.room
    if not (room / "pyproject.toml").is_file():
        raise ReleaseError(
            f"--source {source}: {distribution.room}/pyproject.toml is not there: expected a checkout"
        )
    copy = to / distribution.room
    copy.mkdir(parents=True)
    shutil.copy(room / "pyproject.toml", copy)
    shutil.copytree(room / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    if version is not None:
        _check_version(version, "--version")
        module = copy / distribution.version_file
        text, replaced = _VERSION_LINE.subn(f'__version__ = "{version}"', module.read_text())
        if replaced != 1:
            raise ReleaseError(f'{room / distribution.version_file}: expected one line __version__ = "…"')
        module.write_text(text)
    return copy


def version_of(distribution: Distribution, sources: Path) -> str:
    """The version that a distribution's sources give themselves."""
    module = sources / distribution.version_file
    found = _VERSION_LINE.search(module.read_text())
    if not found:
        raise ReleaseError(f'{distribution.room}/{distribution.version_file}: expected a line __version__ = "…"')
    _check_version(found[1], f"{distribution.room}/{distribution.version_file}")
    return found[1]


def _check_version(version: str, where: str) -> None:
    try:
        canonical = str(Version(version))
    except InvalidVersion:
        raise ReleaseError(f"{where} {version!r}: expected a version like 1.2.3 or 1.2.3rc1") from None
    if canonical != version:
        # A wheel would be called by the other name, and nobody would find it.
        raise ReleaseError(f"{where} {version!r}: expected its canonical form {canonical}")
