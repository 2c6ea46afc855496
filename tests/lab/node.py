"""A worker node: systemd as its first process in a container of its own, with ssh, and eBPF as on the real one."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import cgroups
from lab.boot import wait_until_up
from lab.commands import call
from lab.file_list import FileList, list_files
from lab.ssh import Login
from lab.trees import OPERATOR, resolv_conf, write

_REBOOT = 133
_BOOT_SECONDS = 90.0
_STOP_SECONDS = 60.0

# The shell that becomes nspawn goes into the node's own groups first: nodes in one group end each other's units.
_ENTER_GROUPS = 'until [ "$1" = -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"'


class Node:
    """One node of a fleet; its files are a layer over the base tree, so that it starts bare and keeps reboots."""

    def __init__(
        self,
        name: str,
        container: str,
        directory: Path,
        login: Login,
        network: str,
        bridge: str,
        volumes: Mapping[str, Path],
        memory_bytes: int,
    ) -> None:
        """Not started.

        `container` names it and its groups on this machine, `network` is its networkd configuration, `volumes` are
        directories of this machine by the path that the node has them at. What it writes counts as its memory.
        """
        self.name = name
        self.login = login
        self.root = directory / "root"
        """The node's file system, from this machine."""
        self.console = directory / "console.log"
        """What the node's first process wrote while it started."""
        self._container = container
        self._directory = directory
        self._network = network
        self._bridge = bridge
        self._volumes = dict(volumes)
        self._memory_bytes = memory_bytes
        self._group_files: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None

    def create(self, tree: Path, files: Mapping[str, tuple[str, int]], sudo_password: str | None) -> None:
        """Make its file system over a base tree; with a password, sudo asks its user for it."""
        layers = {name: self._directory / name for name in ("upper", "work", "root")}
        for layer in layers.values():
            layer.mkdir()
        for source in self._volumes.values():
            source.mkdir(exist_ok=True)
        options = f"lowerdir={tree},upperdir={layers['upper']},workdir={layers['work']}"
        call("mount", "-t", "overlay", "-o", options, self._container, self.root)
        write(self.root, "etc/hostname", f"{self.name}\n")
        write(self.root, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        write(self.root, "etc/resolv.conf", resolv_conf())
        write(self.root, "etc/systemd/network/10-host0.network", self._network)
        for path, (content, mode) in files.items():
            write(self.root, path, content, mode)
        call("chroot", self.root, "chown", "-R", f"{OPERATOR}:", f"/home/{OPERATOR}/.ssh")
        if sudo_password is not None:
            call("chroot", self.root, "chpasswd", text=f"{OPERATOR}:{sudo_password}\n")
            write(self.root, f"etc/sudoers.d/{OPERATOR}", f"{OPERATOR} ALL=(ALL) ALL\n", 0o440)
        self._group_files = cgroups.make_groups(self._container, self._memory_bytes)

    def start(self) -> None:
        """Start it; `wait_until_up` tells when it can be worked with."""
        self._stopping.clear()
        self._supervisor = threading.Thread(target=self._keep_running, name=self._container, daemon=True)
        self._supervisor.start()

    def _keep_running(self) -> None:
        while True:
            with self.console.open("ab") as console:
                self._process = subprocess.Popen(
                    self._command(), stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
                )
            if self._process.wait() != _REBOOT or self._stopping.is_set():
                return

    def _command(self) -> list[str]:
        enter = ["sh", "-c", _ENTER_GROUPS, "enter", *map(str, self._group_files), "--"]
        container = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            f"--directory={self.root}",
            f"--machine={self._container}",
            f"--hostname={self.name}",
            f"--network-bridge={self._bridge}",
            # This machine need not have systemd to register it with.
            "--register=no",
            "--keep-unit",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--capability=all",
            "--system-call-filter=bpf openat2 perf_event_open",
            *(f"--bind={source}:{place}" for place, source in self._volumes.items()),
        ]
        # A run of tests that is killed takes its nodes with it.
        return ["setpriv", "--pdeathsig", "TERM", *enter, *container]

    def wait_until_up(self) -> None:
        """Wait until it can be logged in to and has started all its units; AssertionError as in `lab.boot`."""
        wait_until_up(self.name, self.login, self.console, _BOOT_SECONDS)

    @property
    def is_running(self) -> bool:
        """Whether it is switched on."""
        return self._supervisor is not None and self._supervisor.is_alive()

    def stop(self) -> None:
        """Shut it down as its power button does; subprocess.TimeoutExpired where it does not end."""
        self._stopping.set()
        if not self.is_running or self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOP_SECONDS)

    def ssh(self, command: str, *, check: bool = True, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a shell command as its user over ssh, as an operator would; AssertionError as in `Login.run`."""
        return self.login.run(command, check=check, seconds=seconds)

    def run(self, command: str, *, check: bool = True, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a shell command in it as root, also where ssh or sudo does not work; AssertionError if it fails."""
        assert self._process is not None, f"{self.name} was not started"
        init = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0]
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wdns=/"]
        done = subprocess.run(
            [
                "nsenter",
                "--target",
                init,
                *namespaces,
                "env",
                "-i",
                f"PATH={os.defpath}:/usr/sbin:/sbin",
                "sh",
                "-c",
                command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{self.name}: {command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def install(self, packages: Sequence[str]) -> None:
        """Install Debian packages in it, for a node that is not quite bare."""
        self.run(f"DEBIAN_FRONTEND=noninteractive apt-get install -y -qq {' '.join(packages)}", seconds=300.0)

    def journal(self, unit: str | None = None, **fields: str) -> str:
        """Its journal of this unit and with these fields' values, also when it is switched off."""
        matches = [f"--unit={unit}"] if unit else []
        matches += [f"{name}={value}" for name, value in fields.items()]
        directory = self.root / "var/log/journal"
        return call("journalctl", f"--directory={directory}", "--no-pager", "--output=short-iso-precise", *matches)

    def file_list(self) -> FileList:
        """What files it holds; `lab.file_list` tells the difference of two."""
        return list_files(self.root)
