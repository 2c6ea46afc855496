"""``python -m watcher_backend``."""

import sys

from watcher_backend.cli import main

sys.exit(main())
