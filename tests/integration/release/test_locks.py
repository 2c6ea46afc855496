"""The lock files say, for every supported Python, exactly which files are installed."""

import re
from pathlib import Path

import pytest

from integration.release.release_build import REPOSITORY, copy_checkout, release

LOCKS = ["agents/requirements.lock", "backend/requirements.lock", ".ci/build-tools.lock"]


def pins(lock: Path) -> set[str]:
    """A lock file's lines without their hashes."""
    return {line.rstrip(" \\") for line in lock.read_text().splitlines() if line[:1] not in ("#", " ", "")}


@pytest.mark.parametrize("name", LOCKS)
def test_no_index_and_no_path(name: str) -> None:
    """A lock file names packages, markers and hashes: no index, no path of whoever made it."""
    lines = (REPOSITORY / name).read_text().splitlines()
    content = [line for line in lines if not line.startswith("#")]
    pin = r"[a-z0-9-]+==[0-9a-z.]+( ; [a-zA-Z0-9_.<>=!' ]+)? \\"
    assert [
        line for line in content if not re.fullmatch(rf"{pin}|    --hash=sha256:[0-9a-f]{{64}}( \\)?", line)
    ] == []
    assert len(content) > 10


def test_locking_again_adds_what_is_new_and_keeps_the_rest(checkout: Path, tmp_path: Path) -> None:
    """After a new dependency, `lock` pins it and moves no other version."""
    own = copy_checkout(tmp_path / "own", checkout)
    project = own / "agents" / "pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = [", 'dependencies = [\n"peewee==3.17.9",'))
    done = release("lock", "--source", own)
    assert (done.returncode, done.stderr) == (0, "")
    assert pins(own / LOCKS[0]) == pins(checkout / LOCKS[0]) | {"peewee==3.17.9"}
    assert [pins(own / name) for name in LOCKS[1:]] == [pins(checkout / name) for name in LOCKS[1:]]
    assert str(tmp_path) not in (own / LOCKS[0]).read_text()


def test_what_cannot_be_locked_is_named(checkout: Path, tmp_path: Path) -> None:
    """A dependency that does not exist in such a version is one line, and the lock file stays as it was."""
    own = copy_checkout(tmp_path / "own", checkout)
    project = own / "agents" / "pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = [", 'dependencies = [\n"peewee>=9000",'))
    done = release("lock", "--source", own)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"release: {own / LOCKS[0]} cannot be made: ")
    assert "peewee>=9000" in line
    assert (own / LOCKS[0]).read_bytes() == (checkout / LOCKS[0]).read_bytes()
