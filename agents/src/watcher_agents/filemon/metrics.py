"""filemon's own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class FilemonMetrics:
    """What filemon sees, beside the spool and the delivery."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.file_events = Counter(
            "file_events", "Total number of file events detected", ["event_type"], registry=registry
        )
        for event_type in ("create", "modify", "delete"):
            self.file_events.labels(event_type)
        self.unchanged = Counter(
            "watcher_unchanged_saves", "Files looked at whose content was captured already", registry=registry
        )
        self.overtaken = Counter(
            "watcher_overtaken_saves",
            "Completed saves whose content was overwritten or deleted before it could be read; declared as gaps",
            registry=registry,
        )
        self.unreadable = Counter(
            "watcher_unreadable_files", "Looks at a file that failed; each is repeated", registry=registry
        )
        self.overflows = Counter(
            "watcher_inotify_overflows",
            "Times that the inotify queue overflowed; each was followed by a full scan",
            registry=registry,
        )
        self.watches = Gauge("watcher_inotify_watches", "Directories watched", registry=registry)
        self.unwatched = Gauge(
            "watcher_inotify_unwatched",
            "Directories that could not be watched or read, scanned and tried again instead",
            registry=registry,
        )
        self.workspaces = Gauge("watcher_workspaces", "Workspaces watched", registry=registry)
        self.blind = Gauge(
            "watcher_blind_workspaces",
            "Workspaces whose pods' mounts share no superblock with the watch root: inotify does not see them",
            registry=registry,
        )
        self.crowded = Gauge(
            "watcher_crowded_workspaces",
            "Workspaces with more files or directories than are followed",
            registry=registry,
        )
        self.waiting = Gauge(
            "watcher_files_waiting", "Files seen to change and not yet looked at", registry=registry
        )
