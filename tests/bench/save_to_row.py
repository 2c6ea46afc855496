"""How long it takes from closing a saved file until its row answers over REST: `make bench`.

Run as `python -m bench.save_to_row [SAVES]` in `tests/`; 50 saves, half a second apart, unless said otherwise.
"""

import platform
import re
import statistics
import sys
import time
from pathlib import Path

from lab.stack import Stack
from lab.workspace import RecordedWorkspace

_PAUSE_SECONDS = 0.5
_GIVE_UP_SECONDS = 10.0


def measure(saves: int) -> list[float]:
    """Seconds from the close of each save to the first answer that has its row."""
    with Stack() as stack:
        stack.start("backend", "filemon")
        workspace = RecordedWorkspace(stack)
        (workspace.assignment / "hello.c").write_text("first\n")
        workspace.wait_for_events(1)
        cursor = stack.page()["next"]
        times = []
        for number in range(saves):
            time.sleep(_PAUSE_SECONDS)
            (workspace.assignment / "hello.c").write_text(f"version {number}\n")
            closed = time.perf_counter()
            while not (page := stack.page(cursor))["events"]:
                if time.perf_counter() - closed > _GIVE_UP_SECONDS:
                    raise AssertionError(f"save {number} did not arrive within {_GIVE_UP_SECONDS:.0f} s")
            times.append(time.perf_counter() - closed)
            cursor = page["next"]
        return times


def main() -> None:
    """Measure and print the figures."""
    saves = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    milliseconds = sorted(1000 * seconds for seconds in measure(saves))
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processors = f"{len(models)} x {models[0] if models else platform.machine()}"
    print(f"{processors}, Linux {platform.release()}, Python {platform.python_version()}")
    print(f"save -> row over REST, {saves} saves, ms:", end=" ")
    print(f"median {statistics.median(milliseconds):.1f}", end=", ")
    print(f"p90 {milliseconds[int(0.9 * (saves - 1))]:.1f}, max {milliseconds[-1]:.1f}")


if __name__ == "__main__":
    main()
