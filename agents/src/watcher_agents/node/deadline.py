"""Commands that may hang, run so that this program does not hang with them.

A look at a file system whose server is gone may never come back, not even to be killed. So whatever touches a
mount is another process's work, which is left behind where it does not end in time.
"""

import subprocess
import threading
from collections.abc import Sequence


def run_to_deadline(command: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[bytes]":
    """Run a command and capture what it says. Raises subprocess.TimeoutExpired where it does not end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=seconds)
    except BaseException:
        process.kill()
        # Whenever it ends, if ever, it is reaped; nobody waits for that, as subprocess.run would.
        threading.Thread(target=process.communicate, daemon=True).start()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
