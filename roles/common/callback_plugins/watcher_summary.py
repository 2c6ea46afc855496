"""The end of a run in a few lines that an operator can paste into a ticket, also when the run failed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: watcher_summary
type: aggregate
short_description: A table of the nodes at the end of a run
description:
  - Prints what the roles reported of each node (set_stats, key C(watcher)) and why a node failed.
author: Watcher
"""

_HEADINGS = ["NODE", "RESULT", "RELEASE", "FILEMON", "PROCMON", "MOUNT", "WAITING", "LAST EVENT"]
_LONGEST = 4000
"""Characters of a reason; some errors of Ansible carry a whole traceback."""


class CallbackModule(CallbackBase):
    """Collects failures while the run goes on and prints the table at its end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "watcher_summary"

    def __init__(self) -> None:
        super().__init__()
        self._began = datetime.now(timezone.utc)
        self._playbook = ""
        self._reasons: dict[str, str] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remember what runs."""
        self._playbook = Path(playbook._file_name).name

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Remember why a node failed; the last reason is the one that ended it."""
        if not ignore_errors:
            self._reasons[result._host.get_name()] = _reason(result._result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember that a node could not be reached."""
        self._reasons[result._host.get_name()] = "unreachable: " + _reason(result._result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the table."""
        custom = stats.custom
        rows, told = [], []
        for host in sorted(stats.processed):
            summary = stats.summarize(host)
            report = custom.get(host, {}).get("watcher", {})
            failed = bool(summary["failures"] or summary["unreachable"])
            rows.append([host, _outcome(summary), *_columns(report)])
            if failed and host in self._reasons:
                reason = self._reasons[host]
                told.append(reason if host in reason else f"{host}: {reason}")
            told += [f"{host}: {note}" for note in _notes(report)]
        told += custom.get("_run", {}).get("watcher_notes", [])
        seconds = (datetime.now(timezone.utc) - self._began).total_seconds()
        self._display.banner(f"WATCHER {self._playbook} {self._began:%Y-%m-%d %H:%M:%S} UTC, {seconds:.0f} s")
        for line in [*_table([_HEADINGS, *rows]), *told]:
            self._display.display(line)


def _reason(result: dict[str, Any]) -> str:
    # Of a command that failed, what it said is the reason.
    text = f"{result.get('msg', '')} {result.get('stderr', '')}".strip() or "no reason given"
    return " ".join(text.split())[:_LONGEST]


def _outcome(summary: dict[str, int]) -> str:
    if summary["unreachable"]:
        return "unreachable"
    if summary["failures"]:
        return "FAILED"
    return f"changed {summary['changed']}" if summary["changed"] else "ok"


def _columns(report: dict[str, Any]) -> list[str]:
    """Release, filemon, procmon, mount, what waits, last event: of a status if there is one, else of the roles."""
    status = report.get("status")
    if not status:
        before, now = report.get("before"), report.get("release", "")
        release = f"{before} -> {now}" if before and before != now else now
        agents = [_proof(report, agent) for agent in ("filemon", "procmon")]
        return [release, *agents, report.get("mount", ""), "", ""]
    agents = status["agents"]
    states = [_state(agents[name]) if name in agents else "absent" for name in ("filemon", "procmon")]
    amiss = [f"{point} {each['state']}" for point, each in status["mounts"].items() if each["state"] != "mounted"]
    mount = ", ".join(amiss) or "mounted"
    waiting = [agent["spool_events"] for agent in agents.values() if agent["spool_events"] is not None]
    last = max((agent["last_event_at"] for agent in agents.values() if agent["last_event_at"]), default="")
    return [str(status["release"] or ""), *states, mount, str(sum(waiting)) if waiting else "?", last]


def _proof(report: dict[str, Any], agent: str) -> str:
    took = report.get(f"verified_{agent}")
    return f"proved in {took}" if took else ""


def _state(agent: dict[str, Any]) -> str:
    if agent["active"] != "active":
        return str(agent["active"])
    if not agent["ready"]:
        return "not ready"
    return "PROBLEM" if agent["problems"] else "well"


def _notes(report: dict[str, Any]) -> list[str]:
    notes: list[str] = [report["note"]] if report.get("note") else []
    for agent in ("filemon", "procmon"):
        notes += report.get(f"notes_{agent}", [])
    status = report.get("status") or {}
    for name, agent in status.get("agents", {}).items():
        notes += [f"{name}: {problem}" for problem in agent["problems"]]
    return [*notes, *status.get("problems", [])]


def _table(rows: list[list[str]]) -> list[str]:
    """Rows in columns as wide as they need, without columns that say nothing."""
    used = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in used]
    lines = zip(*used, strict=True)
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return ["  ".join(line).rstrip() for line in padded]
