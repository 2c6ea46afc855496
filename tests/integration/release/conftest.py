"""A release of this checkout, built once."""

from pathlib import Path

import pytest

from integration.release.release_build import archives_of, copy_checkout, release, unpack


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of all releases that the tests compare."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def archives(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both archives, by distribution."""
    agents, backend = archives_of(release("--source", checkout, "--output", tmp_path_factory.mktemp("dist")))
    return {"agents": agents, "backend": backend}


@pytest.fixture(params=["agents", "backend"])
def archive(request: pytest.FixtureRequest, archives: dict[str, Path]) -> Path:
    """Each of the two."""
    return archives[request.param]


@pytest.fixture
def unpacked(archive: Path, tmp_path: Path) -> Path:
    """Its top folder on a node."""
    return unpack(archive, tmp_path / "unpacked")
