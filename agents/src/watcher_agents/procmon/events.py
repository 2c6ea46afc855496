"""A finished program as an event on the wire."""

from watcher_agents import wire
from watcher_agents.procmon.program_run import Reported

PATH_LIMIT = 8192
"""Characters of a path on the wire."""
HOSTNAME_LIMIT = 64
"""Characters of a hostname on the wire; one of other bytes than UTF-8 is longer as text."""
UNKNOWN_HOSTNAME = "(none)"
"""What stands for a hostname that a student has made empty."""
UNKNOWN_PATH = "(unknown)"
"""What stands for a path that the probe could not read."""


def process_event(reported: Reported, boot_id: str) -> wire.Event:
    """The event of a build or run.

    Its id names the program on this boot of the node: pid and start, by a clock that is never set.
    """
    run, classification = reported
    binary_path, cwd, target_path = (
        path[:PATH_LIMIT] or UNKNOWN_PATH for path in (run.binary_path, run.cwd, classification.target_path)
    )
    longest = max(map(len, (run.binary_path, run.cwd, classification.target_path)))
    return {
        "id": wire.event_id("process", boot_id, run.pid, run.started_boottime),
        "type": classification.type,
        "occurred_at": wire.format_instant(run.ended_at),
        "boot_id": boot_id,
        **wire.identity_fields(run.student, classification.hw_name),
        "hostname": run.hostname[:HOSTNAME_LIMIT] or UNKNOWN_HOSTNAME,
        "pid": run.pid,
        "started_at": wire.format_instant(run.started_at),
        "process_type": classification.process_type,
        "binary_path": binary_path,
        "argv": list(run.argv),
        "argv_truncated": run.argv_truncated or longest > PATH_LIMIT,
        "cwd": cwd,
        "target_path": target_path,
        "exit_code": run.exit_code,
        "signal": run.signal,
        "core_dumped": run.core_dumped,
        "replaced_by_exec": run.replaced_by_exec,
        "already_running": run.already_running,
        "hostname_forged": run.hostname_forged,
    }
