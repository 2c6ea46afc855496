"""A release archive is complete, says what is in it, and is the same whenever it is built."""

import hashlib
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from integration.release.release_build import archives_of, copy_checkout, release
from watcher_agents import __version__ as agents_version
from watcher_backend import __version__ as backend_version

UV = Path(sys.executable).parent / "uv"


def test_names_and_checksum(archives: dict[str, Path]) -> None:
    """An archive is called by its version, and sha256sum takes the file beside it."""
    assert archives["agents"].name == f"watcher-agents-{agents_version}.tar.gz"
    assert archives["backend"].name == f"watcher-backend-{backend_version}.tar.gz"
    for archive in archives.values():
        command = ["sha256sum", "--check", "--strict", f"{archive.name}.sha256"]
        done = subprocess.run(command, cwd=archive.parent, capture_output=True, text=True, check=True)
        assert done.stdout == f"{archive.name}: OK\n"


def test_a_changed_archive_does_not_match(archive: Path, tmp_path: Path) -> None:
    """One byte that changed on the way to a node is noticed."""
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / archive.name).write_bytes(content)
    checksum = archive.with_name(f"{archive.name}.sha256").read_text()
    (tmp_path / "sums").write_text(checksum)
    done = subprocess.run(["sha256sum", "--check", "sums"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1


def test_content(archive: Path) -> None:
    """One top folder, owned by root, with the version, the requirements and wheels, and nothing else."""
    top = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    wheels = [name for name in names if name.startswith(f"{top}/wheels/")]
    assert names == [top, f"{top}/VERSION", f"{top}/requirements.txt", f"{top}/wheels", *wheels]
    assert all(name.endswith(".whl") for name in wheels)
    assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, 315532800)}
    assert {member.mode for member in members if member.isfile()} == {0o644}
    assert {member.mode for member in members if member.isdir()} == {0o755}


def test_requirements_name_every_wheel_and_no_other_file(unpacked: Path) -> None:
    """Every package is pinned, and the hashes are those of the wheels that are there."""
    text = (unpacked / "requirements.txt").read_text()
    assert all(re.match(r"[a-z0-9.-]+==[^ ]+(; .+)? --hash=sha256:", line) for line in text.splitlines())
    listed = re.findall("--hash=sha256:([0-9a-f]{64})", text)
    there = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (unpacked / "wheels").iterdir()]
    assert sorted(listed) == sorted(there)


def test_bcc_is_not_in_it(unpacked: Path) -> None:
    """BCC is the distribution's package; the "bcc" of the package index is an unrelated one."""
    assert not list((unpacked / "wheels").glob("bcc-*"))


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_python_finds_every_wheel(unpacked: Path, python: str, tmp_path: Path) -> None:
    """Each supported Python can install all from the archive alone, on the oldest node's C library too."""
    done = resolve(unpacked, python, tmp_path)
    assert done.returncode == 0, done.stderr
    packages = re.findall(r"^ \+ (\S+)==", done.stderr, re.MULTILINE)
    assert unpacked.name.rpartition("-")[0] in packages
    assert ("pyasyncore" in packages) == ("agents" in unpacked.name and python in ("3.12", "3.13"))


def test_a_python_without_a_wheel_is_noticed(unpacked: Path, tmp_path: Path) -> None:
    """The test above can fail: without the wheels of one Python, that one finds nothing."""
    for wheel in (unpacked / "wheels").glob("*-cp313-cp313-*.whl"):
        wheel.unlink()
    done = resolve(unpacked, "3.13", tmp_path)
    assert "cp313" in done.stderr
    assert done.returncode != 0


def resolve(unpacked: Path, python: str, to: Path) -> subprocess.CompletedProcess[str]:
    """Ask uv, which also judges markers for a Python that is not there, what it would install."""
    command: list[str | Path] = [UV, "pip", "install", "--dry-run", "--offline", "--no-cache", "--no-config"]
    command += ["--no-index", "--find-links", "wheels", "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", "requirements.txt", "--target", to / "to"]
    command += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_35"]
    return subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)


def test_same_sources_same_bytes_without_network(
    archives: dict[str, Path], checkout: Path, tmp_path: Path
) -> None:
    """Another checkout of the same sources, another user's umask, no network: the same archives."""
    copy = copy_checkout(tmp_path / "copy", checkout)
    arguments = ("--source", copy, "--output", tmp_path / "dist")
    again = archives_of(release(*arguments, network=False, umask=0o077, environment={"TZ": "Asia/Seoul"}))
    assert [archive.read_bytes() for archive in again] == [archive.read_bytes() for archive in archives.values()]


def test_same_bytes_on_a_machine_that_never_built_one(
    archives: dict[str, Path], checkout: Path, tmp_path: Path
) -> None:
    """On a machine that never built one, the archive is the same: what a cache holds has no influence."""
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    (again,) = archives_of(
        release("agents", "--source", checkout, "--output", tmp_path / "dist", environment=environment)
    )
    assert again.read_bytes() == archives["agents"].read_bytes()
