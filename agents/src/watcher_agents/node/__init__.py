"""`watcher-agent`: what an operator asks a node about its agents, and how a node proves that it records."""
