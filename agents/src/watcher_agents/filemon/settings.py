"""filemon's settings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from watcher_agents.settings import (
    AgentSettings,
    SettingError,
    choice,
    existing_directory,
    read_agent_settings,
)

METRICS_PORT = 9090
WATCH_ROOT = ("WATCHER_WATCH_ROOT", "/watcher/codes/workspace")
"""A setting of a directory, and what it is unless set."""
SNAPSHOT_ROOT = ("WATCHER_SNAPSHOT_ROOT", "/watcher/snapshots")


@dataclass(frozen=True)
class FilemonSettings:
    """What filemon needs to know."""

    agent: AgentSettings
    watch_root: Path
    """The directory that holds the workspaces."""
    workspaces: str
    """`pods`, `all` or `auto`."""
    snapshot_root: Path


def read_filemon_settings(environ: Mapping[str, str]) -> FilemonSettings:
    """Read and check filemon's settings. Raises SettingError."""
    agent = read_agent_settings(environ, "filemon", METRICS_PORT)
    snapshot_root = existing_directory(environ, *SNAPSHOT_ROOT)
    if not os.access(snapshot_root, os.W_OK | os.X_OK):
        raise SettingError(SNAPSHOT_ROOT[0], str(snapshot_root), "a directory that can be written")
    return FilemonSettings(
        agent=agent,
        watch_root=existing_directory(environ, *WATCH_ROOT),
        workspaces=choice(environ, ("WATCHER_WORKSPACES",), ("pods", "all", "auto"), "auto"),
        snapshot_root=snapshot_root,
    )
