"""Whether procmon's probe works on a host of the lab, with nothing of Watcher installed there."""

from pathlib import Path

AGENTS = Path(__file__).parents[3] / "agents" / "src"
PLACE = "/opt/lab"

# One program runs under a student's hostname: exec and exit have to come back, and nothing else.
_SCRIPT = f"""
import subprocess, sys
sys.path.insert(0, "{PLACE}/src")
from watcher_agents.procmon.probe.loader import ProcessProbe
records = []
probe = ProcessProbe("jcode-lab-", records.append)
pod = "hostname jcode-lab-1-1; exec /bin/true"
subprocess.run(["unshare", "--uts", "sh", "-c", pod], check=True)
probe.poll(1000)
probe.close()
print(len(records))
"""
COMMAND = f"sudo python3 -c '{_SCRIPT}'"
"""Prints how many records the probe sent for a student's program."""
