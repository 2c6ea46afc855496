"""A node installs a release with its own Python and without any network."""

from pathlib import Path

import pytest

from integration.release.release_build import archives_of, install, release, run_installed, unpack

VERSION = "7.8.9rc1"


@pytest.fixture(scope="module")
def renamed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The unpacked releases of the same sources under a version of their own, by distribution."""
    directory = tmp_path_factory.mktemp("renamed")
    done = release("--source", checkout, "--output", directory / "dist", "--version", VERSION)
    agents, backend = archives_of(done)
    return {
        "agents": unpack(agents, directory / "agents"),
        "backend": unpack(backend, directory / "backend"),
    }


def test_agents(renamed: dict[str, Path], tmp_path: Path) -> None:
    """Both agents start, call themselves by the release's version, and procmon sees the distribution's BCC."""
    done = install(renamed["agents"], tmp_path / "venv", "--system-site-packages")
    assert done.returncode == 0, done.stderr
    assert run_installed(tmp_path / "venv", "watcher-filemon", "--version") == f"watcher-filemon {VERSION}"
    assert run_installed(tmp_path / "venv", "watcher-procmon", "--version") == f"watcher-procmon {VERSION}"
    assert run_installed(tmp_path / "venv", "python", "-c", "from bcc import BPF; print(BPF.__name__)") == "BPF"
    assert (renamed["agents"] / "VERSION").read_text() == f"{VERSION}\n"


def test_backend(renamed: dict[str, Path], tmp_path: Path) -> None:
    """The backend starts in an environment of its own."""
    done = install(renamed["backend"], tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    assert run_installed(tmp_path / "venv", "watcher-backend", "--version") == f"watcher-backend {VERSION}"
    assert (renamed["backend"] / "VERSION").read_text() == f"{VERSION}\n"


def test_the_sources_keep_their_version(renamed: dict[str, Path], checkout: Path) -> None:
    """A release under another version changes nothing in the checkout."""
    for module in checkout.glob("*/src/*/__init__.py"):
        assert VERSION not in module.read_text()


def test_a_changed_wheel_is_refused(archives: dict[str, Path], tmp_path: Path) -> None:
    """A wheel with one other byte is not installed."""
    unpacked = unpack(archives["agents"], tmp_path / "unpacked")
    (wheel,) = (unpacked / "wheels").glob("tenacity-*.whl")
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    wheel.write_bytes(content)
    done = install(unpacked, tmp_path / "venv", "--system-site-packages")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "venv" / "bin" / "watcher-filemon").exists()
