"""What was downloaded or built before, kept on this machine."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class BuildCache:
    """Folders of files, each made once from what its key says, in ~/.cache/watcher-release.

    A folder is a whole download under one key, never added to: what a build takes does not depend on what
    other builds left.
    """

    def __init__(self) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._root = Path(home) / "watcher-release"

    def folder(self, kind: str, key: str, fill: Callable[[Path], None]) -> Path:
        """The folder for `key`; where it is not there yet, `fill` is called with a new one."""
        folder = self._root / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:20]}"
        if folder.is_dir():
            return folder
        scratch = self._root / f".filling-{uuid.uuid4().hex}"
        made = scratch / "made"
        # Begun before anything is made: whoever ends the build may do so at any moment.
        try:
            made.mkdir(parents=True)
            fill(made)
            try:
                made.rename(folder)
            except OSError:
                # Another build was faster: the same key, the same content.
                if not folder.is_dir():
                    raise
        finally:
            with suppress(FileNotFoundError):
                shutil.rmtree(scratch)
        return folder
