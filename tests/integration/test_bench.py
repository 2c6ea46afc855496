"""The benchmarks run, in a short form; what they measure is not judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_the_time_from_a_save_to_its_row_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.save_to_row", "3"],
        cwd=TESTS,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"3 saves, ms: median \d+\.\d, p90 \d+\.\d, max \d+\.\d\n", done.stdout), done.stdout
