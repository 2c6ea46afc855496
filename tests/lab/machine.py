"""A worker node with a kernel of its own: Debian in QEMU, with a real NFS server on it, and podman."""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab.boot import wait_until_up
from lab.commands import call
from lab.machine_image import MachineImage, machine_image
from lab.runs import numbered_run
from lab.ssh import Login, write_inventory
from lab.stack import free_port
from lab.trees import OPERATOR
from lab.waiting import wait_for

NAME = "worker-1"
HOST_ADDRESS = "10.0.2.2"
"""This machine's loopback as the machine in QEMU reaches it."""

_MEMORY_MIB = 3072
_BOOT_SECONDS = 240.0
_STOP_SECONDS = 10.0
_KERNEL_ARGUMENTS = "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 panic=-1"


class Machine:
    """Runs while the context is entered. What is written to its disk outlives a reboot, but not the context.

    It is emulated, so that it needs no hardware support, and takes ten times as long for everything as a node.
    """

    def __init__(self, volume: Path | None = None, ports: Sequence[int] = ()) -> None:
        """Not started. `volume`: the image of a further disk, which it has as /dev/vdb, read-only.

        `ports`: those of its TCP ports that are reached from here, at `url(port)`.
        """
        self.name = NAME
        self._volume = volume
        self._ports = {port: free_port() for port in ports}

    def __enter__(self) -> "Machine":
        image = machine_image()
        with ExitStack() as stack:
            # It ends with this process, and all it writes is in the directory.
            _, directory = stack.enter_context(numbered_run("machine", lambda _: None))
            sockets = directory / "ssh"
            sockets.mkdir()
            self.console = directory / "console.log"
            self.login = Login("127.0.0.1", free_port(), OPERATOR, image.keys, sockets)
            forwarded = {22: self.login.port} | self._ports
            self._process = subprocess.Popen(
                _command(image, self._volume, directory, forwarded, self.console), stdin=subprocess.DEVNULL
            )
            stack.callback(self._switch_off)
            self._wait_until_up()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _switch_off(self) -> None:
        self.login.close()
        self._process.terminate()
        self._process.wait(_STOP_SECONDS)

    def _wait_until_up(self) -> None:
        wait_until_up(self.name, self.login, self.console, _BOOT_SECONDS)

    def reboot(self, *, all_units: bool = True) -> None:
        """Restart it as an operator does, and wait until it answers; with `all_units`, until they all run."""
        before = self._boot_id()
        self.ssh("sudo systemctl reboot", check=False)
        wait_for(lambda: self._boot_id() not in ("", before), f"{self.name} to start again", _BOOT_SECONDS)
        if all_units:
            self._wait_until_up()

    def _boot_id(self) -> str:
        """Empty while it does not answer."""
        try:
            return self.ssh("cat /proc/sys/kernel/random/boot_id", check=False, seconds=20.0).stdout.strip()
        except subprocess.TimeoutExpired:
            return ""

    def ssh(self, command: str, *, check: bool = True, seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a shell command as its user, who may sudo; AssertionError as in `Login.run`."""
        return self.login.run(command, check=check, seconds=seconds)

    def copy(self, source: Path, directory: str) -> None:
        """Put a file or directory of this machine into a directory of it, owned by root."""
        self.login.copy(source, directory)

    def url(self, port: int) -> str:
        """Where one of the ports that it was made with answers HTTP."""
        return f"http://127.0.0.1:{self._ports[port]}"

    def journal(self, unit: str | None = None, **fields: str) -> str:
        """Its journal of this unit and with these fields' values."""
        matches = [f"--unit={unit}"] if unit else []
        matches += [f"{name}={value}" for name, value in fields.items()]
        return self.ssh(f"sudo journalctl --no-pager --output=short-iso-precise {' '.join(matches)}").stdout

    def inventory(self, path: Path, **variables: Any) -> Path:
        """Write an Ansible inventory with it as the only worker, and these variables."""
        return write_inventory(path, {self.name: self.login}, variables)


def _command(
    image: MachineImage, volume: Path | None, directory: Path, forwarded: Mapping[int, int], console: Path
) -> list[str]:
    """`forwarded`: by port of the machine, the port of this machine's loopback that leads to it."""
    forwards = [f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in forwarded.items()]
    disk = directory / "disk.qcow2"
    call("qemu-img", "create", "-q", "-f", "qcow2", "-b", image.disk, "-F", "raw", disk)
    settings = {
        "-machine": "q35",
        "-accel": "tcg,thread=multi",
        "-cpu": "max",
        "-smp": "2",
        "-m": str(_MEMORY_MIB),
        "-display": "none",
        "-monitor": "none",
        "-serial": f"file:{console}",
        "-kernel": str(image.kernel),
        "-initrd": str(image.initrd),
        "-append": _KERNEL_ARGUMENTS,
        "-drive": f"file={disk},format=qcow2,if=virtio,cache=unsafe",
        "-nic": ",".join(["user,model=virtio-net-pci", *forwards]),
    }
    options = [word for setting in settings.items() for word in setting]
    if volume:
        options += ["-drive", f"file={volume},format=raw,if=virtio,readonly=on"]
    # A run of tests that is killed takes its machine with it.
    return ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", *options]
