"""`watcher-filemon`: reads the settings, puts the parts together, runs until it is told to stop."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from watcher_agents.agent import AgentParts, explain, parse_arguments, run_agent, settings_are_right
from watcher_agents.filemon.allowances import Allowances
from watcher_agents.filemon.capture import FileCapture
from watcher_agents.filemon.captured import CapturedVersions
from watcher_agents.filemon.inotify import Inotify
from watcher_agents.filemon.metrics import FilemonMetrics
from watcher_agents.filemon.monitor import FileMonitor
from watcher_agents.filemon.rules import FileRules, load_rules
from watcher_agents.filemon.settings import FilemonSettings, read_filemon_settings
from watcher_agents.filemon.snapshot_volume import SnapshotVolume
from watcher_agents.filemon.watched_tree import WatchedTree
from watcher_agents.filemon.workspaces import PodMounts, choose_mode
from watcher_agents.heartbeat import Heartbeat
from watcher_agents.rules_file import RulesError
from watcher_agents.settings import SettingError, rules_file


def main() -> int:
    """Run filemon; 0 after an orderly stop, 1 after a failure, 2 where it is misconfigured."""
    arguments = parse_arguments("filemon", "Records every saved version of students' source files on this node.")
    try:
        settings = read_filemon_settings(os.environ)
        rules = load_rules(settings.agent.rules_file)
        if arguments.check_settings:
            return settings_are_right()
        volume = SnapshotVolume(settings.snapshot_root, settings.agent.node_name)
        return run_agent("filemon", settings.agent, volume, partial(_capturing, settings, rules))
    except (SettingError, RulesError) as error:
        return explain(error)


@contextmanager
def _capturing(settings: FilemonSettings, rules: FileRules, parts: AgentParts) -> Iterator[None]:
    metrics = FilemonMetrics(parts.registry)
    captured = CapturedVersions(parts.state)
    heartbeat = Heartbeat()
    allowances = Allowances(rules.looks_per_second, rules.bytes_per_second)
    with (
        closing(Inotify()) as inotify,
        closing(WatchedTree(settings.watch_root, inotify, rules)) as tree,
        closing(PodMounts(settings.watch_root)) as pod_mounts,
    ):
        capture = FileCapture(
            str(settings.watch_root),
            tree,
            rules,
            parts.state,
            captured,
            parts.spool,
            allowances,
            metrics,
            heartbeat,
        )
        monitor = FileMonitor(
            rules,
            inotify,
            tree,
            capture,
            captured,
            allowances,
            parts.gaps,
            metrics,
            pod_mounts,
            choose_mode(settings.workspaces) == "pods",
            heartbeat,
            parts.ready,
        )
        arrivals = monitor.arrivals
        parts.condition.work = monitor.work
        parts.condition.add_check(monitor.problem)
        parts.condition.add_heartbeat(heartbeat)
        parts.reloading.read_rules = lambda: arrivals.put_rules(load_rules(rules_file(os.environ, "filemon")))
        run_thread = parts.lifecycle.run_thread
        threads = [
            run_thread("read", partial(inotify.read, arrivals.put_events, lambda: arrivals.is_full)),
            run_thread("mounts", partial(pod_mounts.watch, arrivals.mounts_changed)),
            run_thread("monitor", monitor.run),
        ]
        try:
            yield
        finally:
            inotify.stop_reading()
            pod_mounts.stop()
            arrivals.stop()
            for thread in threads:
                thread.join()
