#!/usr/bin/env python3
"""Builds the release archives, and the lock files that say what is in them.

    .ci/release.py                   # both archives, to dist/
    .ci/release.py agents --output /srv/releases
    .ci/release.py lock              # the lock files anew, after dependencies changed

An archive holds wheels for every supported Python, so that a node needs no internet. The control node that builds
it needs Python 3.10 or later with pip and `packaging` (which Ansible brings), and a package index the first time:
what was downloaded stays in ~/.cache/watcher-release, and the next build reads it from there. The build tools are
locked too (.ci/build-tools.lock) and come the same way. `lock` also needs uv.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

try:
    from releasing.archive import pack, publish
    from releasing.distributions import DISTRIBUTIONS, Distribution, copy_sources, version_of
    from releasing.errors import ReleaseError
    from releasing.locks import write_locks
    from releasing.wheels import collect_wheels
except ModuleNotFoundError as missing:
    sys.exit(f"release: {missing}: pip install -r requirements.txt brings it")

_REPOSITORY = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; 0 after success, 1 where a release cannot be built, 2 for a wrong argument."""
    options = _parse(arguments)
    # Ended from outside, it cleans up as after any failure.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # What a build writes, and so the archive, does not depend on who runs it.
    os.umask(0o022)
    try:
        if options.what == "lock":
            write_locks(options.source, upgrade=options.upgrade)
            return 0
        wanted = DISTRIBUTIONS.values() if options.what == "all" else [DISTRIBUTIONS[options.what]]
        with tempfile.TemporaryDirectory(prefix="watcher-release-") as scratch:
            built = [
                _build(distribution, options.source, options.version, Path(scratch)) for distribution in wanted
            ]
            for archive in publish(built, options.output):
                sys.stdout.write(f"{archive}\n")
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"release: {error.filename or options.output}: {error.strerror or error}\n")
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="release.py", description="Builds Watcher's release archives and their lock files."
    )
    parser.add_argument("what", nargs="?", default="all", choices=[*DISTRIBUTIONS, "all", "lock"])
    parser.add_argument("--source", type=Path, default=_REPOSITORY, help="the checkout to build (this one)")
    parser.add_argument(
        "--output", type=Path, default=_REPOSITORY / "dist", help="where the archives go (dist/ of this checkout)"
    )
    parser.add_argument("--version", help="what the release calls itself, instead of its sources' version")
    parser.add_argument("--upgrade", action="store_true", help="lock: take the newest versions, not those locked")
    return parser.parse_args(arguments)


def _build(distribution: Distribution, source: Path, version: str | None, scratch: Path) -> Path:
    """Build one distribution's archive in `scratch` and return its path."""
    sources = copy_sources(distribution, source, scratch / "sources", version)
    released = version_of(distribution, sources)
    top = scratch / f"{distribution.name}-{released}"
    (top / "wheels").mkdir(parents=True)
    requirements = collect_wheels(source / distribution.lock_file, sources, top / "wheels")
    (top / "requirements.txt").write_text(requirements)
    (top / "VERSION").write_text(f"{released}\n")
    return pack(top)


if __name__ == "__main__":
    sys.exit(main())
