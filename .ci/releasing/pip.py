"""pip, told to fetch or to build."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from releasing.archive import RELEASE_EPOCH
from releasing.cache import BuildCache
from releasing.errors import ReleaseError
from releasing.locks import BUILD_TOOLS_LOCK, Locked, read_lock

_REPOSITORY = Path(__file__).parents[2]
_SHOWN = 800


def download_wheels(locked: Iterable[Locked], target: Iterable[str], to: Path) -> None:
    """Fetch a wheel for each line of a lock file, hashes checked.

    target: pip's options for another Python and platform than this one.
    """
    arguments = ["download", "--only-binary", ":all:", "--no-deps", "--require-hashes", *target]
    _run_on(locked, [*arguments, "--dest", str(to)])


def build_from_index(locked: Locked, tools: Path, to: Path) -> None:
    """Fetch a package's source, its hash checked, and build its wheel."""
    # Without pip's own cache: a wheel in there may be of other build tools.
    arguments = ["--no-binary", ":all:", "--no-cache-dir", "--require-hashes"]
    _run_on([locked], [*_wheel_command(to), *arguments], _build_environment(tools))


def build_from_sources(sources: Path, tools: Path, to: Path) -> Path:
    """Build the wheel of a folder with a pyproject.toml and return it."""
    before = set(to.iterdir())
    _run([*_wheel_command(to), "--no-index", str(sources)], sources.name, _build_environment(tools))
    (wheel,) = set(to.iterdir()) - before
    return wheel


def install_build_tools(cache: BuildCache) -> Path:
    """The folder in which the locked build tools are installed, for this Python."""
    locked = read_lock(_REPOSITORY / BUILD_TOOLS_LOCK)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = [each for each in locked if each.applies(python)]

    def install(folder: Path) -> None:
        arguments = ["install", "--only-binary", ":all:", "--no-deps", "--require-hashes"]
        _run_on(wanted, [*arguments, "--no-compile", "--target", str(folder)])

    return cache.folder("tools", f"{python} {[each.pin for each in wanted]}", install)


def _wheel_command(to: Path) -> list[str]:
    return ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(to)]


def _build_environment(tools: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(tools), "SOURCE_DATE_EPOCH": str(RELEASE_EPOCH)}


def _run_on(locked: Iterable[Locked], arguments: list[str], environment: dict[str, str] | None = None) -> None:
    pins = [each.pin for each in locked]
    with tempfile.NamedTemporaryFile("w", prefix="watcher-release-", suffix=".txt") as requirements:
        requirements.writelines(f"{pin}\n" for pin in pins)
        requirements.flush()
        what = ", ".join(pin.partition(" ")[0] for pin in pins)
        _run([*arguments, "--requirement", requirements.name], what, environment)


def _run(arguments: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(
        command, env=os.environ | (environment or {}), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        # The first error is the cause; pip's tips and, of a build, its whole output come after it.
        said = " ".join(done.stderr[max(done.stderr.find("ERROR:"), 0) :].split())
        raise ReleaseError(f"pip {arguments[0]} of {what} failed: {said[:_SHOWN]}")
