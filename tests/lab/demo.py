"""`make demo`: a student's day in real namespaces, recorded by the real agents, shown as it arrives."""

import json
import os
import signal
import sys
import threading
import time
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from lab.pod import PROJECT, Pod
from lab.stack import Stack
from lab.student_day import CLASS_DIV, HOSTNAME, HW_NAME, STEPS, STUDENT_ID, WORKSPACE, differences

_PAUSE_SECONDS = 0.4
"""Between the student's steps: a person's pace, and so that each save falls on its own."""
_PATIENCE_SECONDS = 20.0

console = Console(highlight=False, width=None if sys.stdout.isatty() else 118)


def main() -> int:
    """Run the demo; 0 where REST gave back all that was done and nothing else."""
    once = os.environ.get("DEMO") == "once"
    with Stack() as stack:
        console.print("[bold]Watcher demo[/]: one student, one node, everything real")
        stack.start("backend", "filemon", "procmon")
        console.print(f"backend {stack.url} · agents as on node worker-1 · scratch in {stack.directory}\n")
        events, problems = _play(stack)
        _show_rest(stack, events)
        _show_verdict(problems)
        if not once:
            console.print(f"\nThe API is at [bold]{stack.url}/docs[/] until you press Ctrl-C.")
            _wait_for_interrupt()
    return 1 if problems else 0


def _play(stack: Stack) -> tuple[list[dict[str, Any]], list[str]]:
    """Play the student's day, showing each event as it comes: the events, and what differs from what was done."""
    expected = sum(len(step.recorded) for step in STEPS)
    table = _LiveTable(stack)
    follower = threading.Thread(target=table.follow, args=(expected,))
    with Pod(HOSTNAME, stack.workspaces / WORKSPACE) as pod:
        pod.run(f"mkdir {HW_NAME}")
        table.header()
        follower.start()
        for step in STEPS:
            table.say(step.says)
            pod.run(step.script, f"{PROJECT}/{HW_NAME}")
            time.sleep(_PAUSE_SECONDS)
        follower.join()
    contents = {event["id"]: stack.content(event["id"]) for event in table.events if event.get("sha256")}
    return table.events, differences(table.events, contents)


class _LiveTable:
    """The table of events, printed row by row as they arrive."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.events: list[dict[str, Any]] = []
        self._printing = threading.Lock()

    def header(self) -> None:
        self._row("TIME (UTC)", "AGENT", "EVENT", "WHAT", "HOW IT ENDED", style="bold underline")

    def say(self, text: str) -> None:
        with self._printing:
            console.print(Text(f"  the student {text}", style="dim italic"))

    def follow(self, expected: int) -> None:
        """Show events until all that are expected have come and nothing more follows, or patience ends."""
        cursor = None
        deadline = time.monotonic() + len(STEPS) * 2 + _PATIENCE_SECONDS
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            page = self._stack.page(cursor)
            cursor = page["next"]
            for event in page["events"]:
                self.events.append(event)
                self._show(event)
                quiet_since = time.monotonic()
            if len(self.events) >= expected and time.monotonic() - quiet_since > 1.0:
                return
            time.sleep(0.05)

    def _show(self, event: dict[str, Any]) -> None:
        moment = datetime.fromisoformat(event["occurred_at"].replace("Z", "+00:00"))
        time_of_day = moment.strftime("%H:%M:%S.%f")[:-3]
        if event["type"] == "snapshot":
            ended, style = f"{event['size']} bytes", {"deleted": "yellow"}.get(event["change"], "cyan")
            self._row(time_of_day, event["agent"], event["change"], event["filename"], ended, style=style)
        else:
            what = " ".join(event["argv"])
            ended, style = _how_it_ended(event)
            self._row(time_of_day, event["agent"], event["type"], what, ended, style=style)

    def _row(self, *cells: str, style: str) -> None:
        widths = (13, 8, 9, 42, 30)
        with self._printing:
            line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
            console.print(Text(line.rstrip(), style=style))


def _how_it_ended(event: dict[str, Any]) -> tuple[str, str]:
    if event["signal"] is not None:
        return f"killed by {signal.Signals(event['signal']).name}", "bold red"
    if event["exit_code"]:
        return f"exit code {event['exit_code']}", "red"
    return "ok", "green"


def _show_rest(stack: Stack, events: list[dict[str, Any]]) -> None:
    work = f"/api/{CLASS_DIV}/{HW_NAME}/{STUDENT_ID}"
    console.print("\n[bold]What REST answers[/]")
    for path in (work, f"{work}/hello.c", f"{work}/logs/build", f"{work}/logs/run"):
        _show_answer(stack, path, ",\n ".join(json.dumps(row) for row in stack.get(path)).join("[]"))
    for event in events:
        if event.get("signal"):
            path = f"/api/v1/events/{event['id']}"
            _show_answer(stack, path, json.dumps(stack.get(path)))
    versions = [event for event in events if event.get("filename") == "hello.c"]
    for version in versions[-1:]:
        _show_answer(stack, f"/api/v1/events/{version['id']}/content", stack.content(version["id"]).decode())


def _show_answer(stack: Stack, path: str, answer: str) -> None:
    console.print(Text(f"\n$ curl {stack.url}{path}", style="bold"))
    console.print(Text(answer.rstrip("\n")), soft_wrap=True)


def _show_verdict(problems: list[str]) -> None:
    recorded = [expected for step in STEPS for expected in step.recorded]
    if problems:
        console.print(f"\n[bold red]{len(problems)} differences between what was done and what REST gave:[/]")
        for problem in problems:
            console.print(Text(f"  {problem}", style="red"))
    else:
        console.print(
            f"\n[bold green]All {len(recorded)} events came back[/]: every content, exit code and signal."
        )


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("\nstopped")


if __name__ == "__main__":
    sys.exit(main())
