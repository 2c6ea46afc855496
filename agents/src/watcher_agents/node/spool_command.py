"""`watcher-agent spool`: what waits in an agent's spool, and what is to become of what the backend refused."""

import argparse
import json
import os
import syslog
from pathlib import Path
from typing import Any

from watcher_agents.journal import printable
from watcher_agents.node.installed_agents import AGENTS, Agent
from watcher_agents.node.spool_file import Entry, Listing, SpoolFile
from watcher_agents.settings import absolute_path

LIST_AT_MOST = 10_000
_LISTED = 20


def add_spool_arguments(command: argparse.ArgumentParser) -> None:
    """Add what follows `watcher-agent spool`."""
    command.add_argument("agent", choices=list(AGENTS))
    actions = command.add_subparsers(dest="action", required=True)
    show_list = actions.add_parser("list", help="the oldest events that wait or are set aside")
    show_list.add_argument("--rejected", action="store_true", help="only those that the backend refused")
    show_list.add_argument(
        "--limit", type=_limit, default=_LISTED, metavar="N", help="how many at most (%(default)d)"
    )
    show = actions.add_parser("show", help="one event with all its fields, and why it was refused")
    retry = actions.add_parser("retry", help="send again what the backend refused")
    drop = actions.add_parser("drop", help="give up what the backend refused; it is declared lost")
    show.add_argument("id", metavar="ID", help="an event's id, as the list shows it")
    for action in (retry, drop):
        chosen = action.add_mutually_exclusive_group(required=True)
        chosen.add_argument("id", nargs="?", metavar="ID", help="an event's id, as the list shows it")
        chosen.add_argument("--all", action="store_true", help="all that are set aside")
    drop.add_argument("--yes", action="store_true", help="really do it: it cannot be undone")
    for action in (show_list, show, retry, drop):
        action.add_argument("--json", action="store_true", help="print one JSON document")
        action.add_argument(
            "--state-dir", type=Path, metavar="DIR", help="the agent's state directory, unless it is the usual one"
        )


def run_spool_command(arguments: argparse.Namespace) -> str:
    """Do what was asked; what to print. Raises SpoolError or SettingError."""
    agent = AGENTS[arguments.agent]
    spool = SpoolFile(arguments.state_dir or _state_dir(agent))
    if arguments.action == "list":
        listing = spool.oldest(arguments.limit, arguments.rejected)
        return json.dumps(_listing_json(listing)) if arguments.json else _listing_text(listing)
    if arguments.action == "show":
        entry = spool.find(arguments.id)
        return json.dumps(entry.as_json(), indent=None if arguments.json else 2)
    if arguments.action == "retry":
        number = spool.retry(arguments.id)
        done, text = "retried", "sent again within seconds, if the agent runs"
    else:
        number = spool.drop(arguments.id)
        done, text = "dropped", "declared lost by the agent, as a gap of the cause dropped_by_operator"
    printed = f"{done} {number} events: {text}"
    _tell_journal(arguments, printed)
    return json.dumps({done: number}) if arguments.json else printed


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LIST_AT_MOST:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {LIST_AT_MOST}")
    return int(text)


def _state_dir(agent: Agent) -> Path:
    return absolute_path(os.environ, "WATCHER_STATE_DIR", f"/var/lib/watcher/{agent.name}")


def _listing_json(listing: Listing) -> dict[str, Any]:
    return {
        "waiting": listing.waiting,
        "set_aside": listing.set_aside,
        "bytes": listing.bytes,
        "events": [entry.as_json() for entry in listing.entries],
    }


def _listing_text(listing: Listing) -> str:
    head = f"{listing.waiting} events wait, {listing.set_aside} set aside, {listing.bytes} bytes"
    return "\n".join([head, *(printable(_line(entry)) for entry in listing.entries)])


def _line(entry: Entry) -> str:
    state = "refused" if entry.waits_for is None else entry.waits_for
    what = f"{entry.event.get('occurred_at', '-')} {entry.event.get('type', '-'):<8} {entry.workspace or '-'}"
    reason = "" if entry.reason is None else f": {entry.reason}"
    return f"{entry.id} {state:<15} {entry.bytes:>8} {what} {entry.about}{reason}"


def _tell_journal(arguments: argparse.Namespace, printed: str) -> None:
    """Leave a line in the system's log, to be found beside the agents' own."""
    operator = os.environ.get("SUDO_USER") or "root"
    line = f"watcher-agent spool {arguments.agent} {arguments.action} by {operator}: {printed}"
    syslog.openlog("watcher-agent")
    syslog.syslog(syslog.LOG_WARNING, printable(line))
    syslog.closelog()
