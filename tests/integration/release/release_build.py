"""The release program, run as an operator runs it, and what comes out of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
_PROGRAM = REPOSITORY / ".ci" / "release.py"
_NO_NETWORK = ["unshare", "--net"]


def copy_checkout(to: Path, source: Path = REPOSITORY) -> Path:
    """Copy what a release is made of, so that it holds still and can be changed."""
    for room in ("agents", "backend"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(source / room / "src", to / room / "src", ignore=ignored)
        for name in ("pyproject.toml", "requirements.lock"):
            # Without its mode and times: a release depends on neither.
            shutil.copyfile(source / room / name, to / room / name)
    (to / ".ci").mkdir()
    shutil.copyfile(source / ".ci" / "build-tools.lock", to / ".ci" / "build-tools.lock")
    return to


def release(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, network: bool = True, umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run the release program to its end; `environment`: settings beside the machine's own."""
    return subprocess.run(
        [*([] if network else _NO_NETWORK), sys.executable, _PROGRAM, *arguments],
        env={**os.environ, **(environment or {})},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )


def archives_of(done: subprocess.CompletedProcess[str]) -> list[Path]:
    """The archives that a run of the release program, which must have succeeded, names."""
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


def unpack(archive: Path, to: Path) -> Path:
    """Unpack an archive as a node does; its top folder."""
    to.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xzf", archive, "-C", to], check=True)
    (top,) = to.iterdir()
    return top


def install(release: Path, venv: Path, *venv_options: str) -> subprocess.CompletedProcess[str]:
    """Install an unpacked release as a node does: Debian's Python, no network, none of this machine's settings."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", *venv_options, venv], check=True)
    pip: list[str | Path] = [
        venv / "bin" / "pip",
        "install",
        "--disable-pip-version-check",
        "--no-index",
        "--find-links",
        "wheels",
    ]
    return _isolated([*pip, "--require-hashes", "--requirement", "requirements.txt"], release)


def run_installed(venv: Path, program: str, *arguments: str) -> str:
    """Run an installed program, which must succeed; what it says."""
    done = _isolated([venv / "bin" / program, *arguments], venv)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _isolated(command: Sequence[str | Path], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_NO_NETWORK, *command],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
