"""Worker nodes on a network of their own in this machine: real systemd, real ssh, real apt, and eBPF."""

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab import cgroups
from lab.commands import call
from lab.network import Bridge
from lab.node import Node
from lab.runs import numbered_run, run_directory
from lab.ssh import Keys, Login, write_inventory
from lab.trees import OPERATOR, node_tree

SUDO_PASSWORD = "of-the-operator"
"""The user's password on nodes whose sudo asks for one."""

_KIND = "fleet"
_MEMORY_BYTES = 2 << 30
_INOTIFY = Path("/proc/sys/fs/inotify")


class Fleet:
    """Nodes worker-1 to worker-N that run while the context is entered, and of which nothing is left afterwards.

    All nodes have `shared` at /srv/shared, as a volume that pods on different nodes mount, and a directory of
    their own at /srv/workspace. The limits of inotify that they set are this machine's, and put back at the end.
    """

    def __init__(self, nodes: int = 3, sudo_password_on: Collection[str] = ()) -> None:
        """`sudo_password_on`: the names of the nodes whose sudo asks for SUDO_PASSWORD."""
        self._names = [f"worker-{index}" for index in range(1, nodes + 1)]
        unknown = set(sudo_password_on) - set(self._names)
        if unknown:
            raise ValueError(f"sudo_password_on {sorted(unknown)}: expected names among {self._names}")
        self._sudo_password_on = frozenset(sudo_password_on)
        self.nodes: list[Node] = []

    def __enter__(self) -> "Fleet":
        tree = node_tree()
        with ExitStack() as stack:
            number, directory = stack.enter_context(numbered_run(_KIND, _take_down, lambda n: Bridge(n).is_free()))
            self._set_up(number, directory, tree)
            stack.callback(self._switch_off)
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.wait_until_up()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _set_up(self, number: int, directory: Path, tree: Path) -> None:
        memory = _MEMORY_BYTES * len(self._names)
        call("mount", "-t", "tmpfs", "-o", f"size={memory},mode=755", f"lab-{_KIND}-{number}", directory)
        limits = {file.name: file.read_text() for file in _INOTIFY.iterdir()}
        (directory / "inotify.json").write_text(json.dumps(limits))
        bridge = Bridge(number)
        bridge.set_up()
        keys = Keys.make(directory / "keys")
        sockets = directory / "ssh"
        sockets.mkdir()
        self.shared = directory / "shared"
        self.shared.mkdir()
        self.nodes = []
        for index, name in enumerate(self._names, start=1):
            address = bridge.network[10 + index]
            node_directory = directory / name
            node_directory.mkdir()
            node = Node(
                name,
                container=f"{bridge.name}-{index}",
                directory=node_directory,
                login=Login(str(address), 22, OPERATOR, keys, sockets),
                network=(
                    f"[Match]\nName=host0\n\n[Network]\nAddress={address}/{bridge.network.prefixlen}\n"
                    f"Gateway={bridge.gateway}\nLinkLocalAddressing=no\n"
                ),
                bridge=bridge.name,
                volumes={"/srv/shared": self.shared, "/srv/workspace": node_directory / "workspace"},
                memory_bytes=_MEMORY_BYTES,
            )
            password = SUDO_PASSWORD if name in self._sudo_password_on else None
            node.create(tree, keys.files(f"home/{OPERATOR}"), password)
            self.nodes.append(node)
        self._gateway = bridge.gateway

    def _switch_off(self) -> None:
        for node in self.nodes:
            node.login.close()
        with ThreadPoolExecutor() as together:
            list(together.map(Node.stop, self.nodes))

    @property
    def host_address(self) -> str:
        """This machine's address as the nodes reach it."""
        return str(self._gateway)

    def __getitem__(self, name: str) -> Node:
        """The node of this name."""
        return next(node for node in self.nodes if node.name == name)

    def inventory(self, path: Path, **variables: Any) -> Path:
        """Write an Ansible inventory of all nodes, with these variables."""
        return write_inventory(path, {node.name: node.login for node in self.nodes}, variables)


def _take_down(number: int) -> None:
    bridge = Bridge(number)
    cgroups.remove_groups(f"{bridge.name}-*")
    bridge.take_down()
    directory = run_directory(_KIND, number)
    limits = directory / "inotify.json"
    if limits.exists():
        for name, value in json.loads(limits.read_text()).items():
            (_INOTIFY / name).write_text(value)
    for mount in reversed(_mounts_under(directory)):
        call("umount", mount)


def _mounts_under(directory: Path) -> list[str]:
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in places if place == str(directory) or place.startswith(f"{directory}/")]
