"""Watcher's node agents: what filemon and procmon share, and the two themselves."""

__version__ = "0.1.0"
