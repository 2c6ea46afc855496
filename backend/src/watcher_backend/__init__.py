"""Watcher's central service."""

__version__ = "0.1.0"
