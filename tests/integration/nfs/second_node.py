"""A second worker node in the machine: namespaces with hostname, network and mounts of its own; and its filemon.

To the NFS server it is another client: the kernel keeps NFS clients, and with them superblocks, leases and cached
files, for each network namespace apart, and tells the server the hostname as the client's name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from integration.nfs.installation import BACKEND_PORT, MOUNTS
from integration.nfs.installed_volume import release_root
from integration.nfs.site import SLOW_SECONDS, NfsSite, wait_gently
from lab.machine_image import EXPORTS
from lab.machine_pods import CSI_OPTIONS, Pod, start_pod

NAME = "worker-2"
_SERVER = "10.77.0.1"
_NODE = "10.77.0.2"
_AGENT = f"watcher-filemon-{NAME}"
_HOLD = f"hostname {NAME}; exec sleep infinity"
_START = f"""\
systemd-run --quiet --collect --unit={NAME} --property=KillSignal=SIGKILL \
    unshare --mount --propagation private --net --uts --pid --fork --kill-child --mount-proc sh -ec '{_HOLD}'
"""
# What it has of the first node's mounts is not its own.
_MOUNTS = f"""\
awk '$5 ~ "^/(watcher|var/lib/kubelet)" {{ print $5 }}' /proc/self/mountinfo | tac | xargs --no-run-if-empty umount
ip link set lo up
ip address add {_NODE}/24 dev eth0
ip link set eth0 up
""" + "".join(f"mount -t nfs4 -o {CSI_OPTIONS} {_SERVER}:{export} {point}\n" for point, export in MOUNTS.items())
_SETTINGS = {
    "WATCHER_API_URL": f"http://{_SERVER}:{BACKEND_PORT}",
    "WATCHER_NODE_NAME": NAME,
    "WATCHER_STATE_DIR": f"/var/lib/watcher-{NAME}",
    "WATCHER_WORKSPACES": "pods",
}


@dataclass(frozen=True)
class SecondNode:
    """The node, with filemon running on it."""

    site: NfsSite
    pid: int
    """Of its first process, as the machine sees it."""

    @property
    def enter(self) -> str:
        """The words that run a command on it."""
        return f"nsenter --target {self.pid} --mount --net --uts"

    def start_pod(self, workspace: str) -> Pod:
        """Mount what a pod has that starts here."""
        return start_pod(self.site.machine, f"{_SERVER}:{EXPORTS[0]}", workspace, CSI_OPTIONS, self.enter)

    def seen_from_the_machine(self, path: str) -> str:
        """A path of it, as a process of the machine reaches it."""
        return f"/proc/{self.pid}/root{path}"


@contextmanager
def second_node(site: NfsSite) -> Iterator[SecondNode]:
    """Set it up, with filemon ready; it ends with the context."""
    try:
        site.root(_START)
        pid = int(wait_gently(lambda: _first_process(site), f"{NAME} to start"))
        site.root(
            f"ip link add {NAME} type veth peer name eth0 netns {pid}\n"
            f"ip address add {_SERVER}/24 dev {NAME}\nip link set {NAME} up"
        )
        node = SecondNode(site, pid)
        site.machine.login.run(f"sudo {node.enter} sh -eu", text=_MOUNTS)
        settings = " ".join(f"--setenv={name}={value}" for name, value in _SETTINGS.items())
        site.root(
            f"systemd-run --quiet --unit={_AGENT} --property=Type=notify --property=NotifyAccess=all"
            f" --property=TimeoutStartSec={SLOW_SECONDS:.0f} {settings}"
            f" {node.enter} --pid {release_root('agents')}/current/venv/bin/watcher-filemon"
        )
        yield node
    finally:
        site.root(f"systemctl stop {_AGENT} {NAME}", check=False)


def _first_process(site: NfsSite) -> str:
    """Empty until its namespaces are set up: then it is what only sleeps."""
    return site.root(
        f"pgrep --exact sleep --parent $(systemctl show --property=MainPID --value {NAME})", check=False
    ).strip()
