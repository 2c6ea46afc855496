"""Logging in to the lab's nodes and machines over ssh, as a test and as Ansible."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.commands import call

WORKERS = "workers"
"""The inventory's group of nodes that the agents run on."""


@dataclass(frozen=True)
class Keys:
    """The keys of one run, in a directory: the user's and that of all its hosts."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> "Keys":
        """Make both keys in a directory, which is made."""
        directory.mkdir(mode=0o700)
        for name in ("user", "host"):
            call(
                "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"watcher-lab {name}", "-f", directory / name
            )
        public = (directory / "host.pub").read_text()
        (directory / "known_hosts").write_text(f"lab {public}")
        return cls(directory)

    def files(self, home: str) -> dict[str, tuple[str, int]]:
        """What a host has to hold so that the user gets in, and knows where: content and mode by path."""
        return {
            "etc/ssh/ssh_host_ed25519_key": ((self.directory / "host").read_text(), 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": ((self.directory / "host.pub").read_text(), 0o644),
            f"{home}/.ssh/authorized_keys": ((self.directory / "user.pub").read_text(), 0o644),
        }


@dataclass(frozen=True)
class Login:
    """A user on a host of the lab."""

    address: str
    port: int
    user: str
    keys: Keys
    sockets: Path
    """Directory of the connections that stay open between commands; its path is short, or ssh refuses."""

    def run(
        self, command: str, *, text: str | None = None, check: bool = True, seconds: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command; with `check`, AssertionError showing its output where its exit code is not 0."""
        done = subprocess.run(
            [*self._ssh(), command],
            input="" if text is None else text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            said = done.stdout + done.stderr
            raise AssertionError(f"{self.user}@{self.address}: {command}: exit code {done.returncode}\n{said}")
        return done

    def copy(self, source: Path, directory: str) -> None:
        """Put a file or directory of this machine into a directory there, which is made, owned by root."""
        unpack = f"sudo mkdir -p {directory} && sudo tar --extract --no-same-owner --directory={directory}"
        pack = ["tar", "--create", f"--directory={source.parent}", source.name]
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
            done = subprocess.run([*self._ssh(), unpack], stdin=packing.stdout, capture_output=True, check=False)
        if packing.returncode != 0 or done.returncode != 0:
            raise AssertionError(f"{self.user}@{self.address}: copying {source}: {done.stderr.decode()}")

    def answers(self) -> bool:
        """Whether a command can be run now."""
        try:
            return self.run("true", check=False, seconds=10.0).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def close(self) -> None:
        """End the connections that are kept open, also Ansible's."""
        for socket in self.sockets.glob("*"):
            # One that has ended by itself is no concern: its socket is stale.
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "lab"], capture_output=True, check=False
            )

    def inventory_variables(self) -> dict[str, Any]:
        """What Ansible has to know of this host."""
        return {
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.keys.directory / "user"),
            "ansible_ssh_common_args": " ".join(self._options()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def _ssh(self) -> list[str]:
        persist = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", "ConnectTimeout=10"]
        place = ["-i", str(self.keys.directory / "user"), "-p", str(self.port), f"{self.user}@{self.address}"]
        return ["ssh", *self._options(), *persist, *place]

    def _options(self) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlias": "lab",
            "UserKnownHostsFile": self.keys.directory / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            # A command on a host that has gone comes back with an error, not at the test's time limit.
            "ServerAliveInterval": 5,
            "ControlPath": self.sockets / "%C",
        }
        return [
            "-F",
            "/dev/null",
            *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")),
        ]


def write_inventory(path: Path, logins: Mapping[str, Login], variables: Mapping[str, Any]) -> Path:
    """Write an Ansible inventory: the hosts by name in the group WORKERS, with the group's variables."""
    hosts = {name: login.inventory_variables() for name, login in logins.items()}
    inventory = {"all": {"children": {WORKERS: {"hosts": hosts, "vars": dict(variables)}}}}
    path.write_text(yaml.safe_dump(inventory, sort_keys=False))
    return path
