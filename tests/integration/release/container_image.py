"""The backend's image, built from its Containerfile in a container storage of the tests' own, and run from it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.release.release_build import REPOSITORY
from lab.cache import cached
from lab.commands import call
from lab.waiting import wait_for

IMAGE = "registry.example/watcher-backend"
_BASE_IMAGE = "docker.io/library/debian:bookworm-slim"
_SUITE = "bookworm"
_PRIVATE_NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_START_SECONDS = 60.0
_STOP_SECONDS = 40
_ASK = """\
import sys, urllib.request
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as answer:
    sys.stdout.buffer.write(answer.read())
"""


@dataclass(frozen=True)
class ImageStorage:
    """A container storage with nothing in it but what the tests put there."""

    directory: Path

    def environment(self) -> dict[str, str]:
        """What makes buildah use this storage, and build without the rights that a sandbox may lack."""
        return {**os.environ, "CONTAINERS_STORAGE_CONF": str(self._settings), "BUILDAH_ISOLATION": "chroot"}

    @property
    def _settings(self) -> Path:
        return self.directory / "storage.conf"

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah on this storage, which must succeed; what it says."""
        command = ["env", f"CONTAINERS_STORAGE_CONF={self._settings}", "buildah", *arguments]
        return call(*command).strip()

    def prepare(self) -> None:
        """Make the storage, and in it the base image under its real name: no registry is asked."""
        lines = ["[storage]", 'driver = "overlay"']
        lines += [f'{name} = "{self.directory / name}"' for name in ("graphroot", "runroot")]
        self._settings.write_text("\n".join(lines) + "\n")
        base = cached("image", [_SUITE], _make_base) / "base.tar"
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, base, "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.buildah("config", "--env", path, "--cmd", "bash", container)
        self.buildah("commit", "--quiet", "--rm", container, _BASE_IMAGE)

    def build(self, tag: str) -> str:
        """Build the image as `make image` does; its name with the tag."""
        done = subprocess.run(
            [REPOSITORY / ".ci" / "image"],
            env=self.environment() | {"BUILDER": "buildah", "IMAGE": IMAGE, "TAG": tag},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"buildah push {IMAGE}:{tag}" in done.stdout
        return f"{IMAGE}:{tag}"

    def settings_of(self, image: str) -> dict[str, Any]:
        """What an image says about itself, as the OCI image specification has it."""
        settings: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
        return settings

    @contextmanager
    def files_of(self, image: str) -> Iterator[Path]:
        """An image's root file system, mounted for a while."""
        container = self.buildah("from", "--pull-never", image)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)

    def remove(self) -> None:
        """Take down what the storage has mounted."""
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")


def _make_base(directory: Path) -> None:
    tree = directory / "tree"
    call(*_PRIVATE_NAMESPACES, "debootstrap", "--variant=minbase", _SUITE, tree)
    call("tar", "--create", "--file", directory / "base.tar", "--directory", tree, "--one-file-system", ".")
    call("rm", "--recursive", "--force", "--one-file-system", tree)


class RunningImage:
    """An image that runs as a cluster runs it: its own settings, a read-only root, no capability, own network."""

    def __init__(self, name: str, settings: dict[str, Any], root: Path, bundle: Path) -> None:
        """`bundle`: an empty directory for the runtime; `data` and `snapshots` in it are the volumes."""
        self.name = name
        self.bundle = bundle
        self.data = bundle / "data"
        self._pid_file = bundle / "pid"
        self._log = bundle / "log"
        (bundle / "snapshots").mkdir()
        self.data.mkdir()
        user, group = (int(number) for number in settings["User"].split(":"))
        os.chown(self.data, user, group)
        call("runc", "spec", "--bundle", bundle)
        description = json.loads((bundle / "config.json").read_text())
        description["process"] |= {
            "terminal": False,
            "user": {"uid": user, "gid": group},
            "args": settings["Cmd"],
            "env": settings["Env"],
            "cwd": settings["WorkingDir"],
            "capabilities": {},
        }
        description["root"] = {"path": str(root), "readonly": True}
        description["mounts"] += [
            _volume("/app/data", self.data, "rw"),
            _volume("/watcher/snapshots", bundle / "snapshots", "ro"),
        ]
        (bundle / "config.json").write_text(json.dumps(description))

    def __enter__(self) -> "RunningImage":
        command: Sequence[str | Path] = ["runc", "run", "--bundle", self.bundle, "--pid-file", self._pid_file]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, self.name], stdout=log, stderr=log)
        try:
            wait_for(self._listens, "the image to be ready", _START_SECONDS)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._kill()

    def _kill(self) -> None:
        subprocess.run(["runc", "delete", "--force", self.name], check=True)
        self._process.wait()

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log()
        return self._pid_file.exists() and 3000 in self._listening_ports()

    def _listening_ports(self) -> list[int]:
        """The TCP ports that the program listens on at all addresses, read from its own network."""
        rows = [line.split() for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]]
        all_addresses, listening = "00000000", "0A"
        local = [row[1].split(":") for row in rows if row[3] == listening]
        return [int(port, 16) for address, port in local if address == all_addresses]

    @property
    def pid(self) -> int:
        """The process id of the program, as this machine sees it."""
        return int(self._pid_file.read_text())

    def log(self) -> str:
        """What the program said."""
        return self._log.read_text()

    def request(self, path: str, body: object = None) -> Any:
        """The JSON answer of a GET, or of a POST of `body`, asked from within the image's network."""
        sent = "" if body is None else json.dumps(body)
        asking = ["nsenter", "--net", "--target", str(self.pid), sys.executable, "-c", _ASK]
        return json.loads(call(*asking, f"http://127.0.0.1:3000{path}", text=sent))

    def stop(self) -> int:
        """Stop it as a cluster does; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)


def _volume(destination: str, source: Path, access: str) -> dict[str, Any]:
    options = ["bind", access, "nosuid", "nodev", "noexec"]
    return {"destination": destination, "type": "bind", "source": str(source), "options": options}
