"""The demo is a promise of the README."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_the_demo_ends_well_and_leaves_nothing_behind() -> None:
    # Not pytest's own directory, which the demo's student could not enter.
    with tempfile.TemporaryDirectory(prefix="watcher-demo-") as scratch:
        Path(scratch).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "lab.demo"],
            cwd=TESTS,
            env={"PATH": os.environ["PATH"], "DEMO": "once", "TMPDIR": scratch},
            capture_output=True,
            text=True,
            check=False,
        )
        left = list(Path(scratch).iterdir())
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "All 13 events came back" in done.stdout
    assert "killed by SIGSEGV" in done.stdout
    assert left == []
