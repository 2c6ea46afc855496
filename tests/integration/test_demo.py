"""The demo is a promise of the README."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_the_demo_ends_well_and_leaves_nothing_behind() -> None:
    before = set(Path("/tmp").glob("watcher-*"))
    done = subprocess.run(
        [sys.executable, "-m", "lab.demo"],
        cwd=TESTS,
        env={"PATH": os.environ["PATH"], "DEMO": "once"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "All 13 events came back" in done.stdout
    assert "killed by SIGSEGV" in done.stdout
    assert set(Path("/tmp").glob("watcher-*")) == before
