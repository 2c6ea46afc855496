"""The lab's machine has what a container cannot have: a kernel of its own, NFS, and podman."""

from integration.lab import probe_proof
from lab.machine import Machine
from lab.machine_image import EXPORTS

_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: played}
spec:
  restartPolicy: Never
  containers:
    - name: one
      image: localhost/lab:1
      imagePullPolicy: Never
      command: [/bin/sh, -c, "echo played $((40 + 2))"]
"""


def test_mounts_share_a_superblock_unless_their_options_differ(machine: Machine) -> None:
    """The NFS client gives one device to mounts of an export, and another where rsize differs."""
    mounts = [
        ("same-1", f"{EXPORTS[0]}", "vers=4.1"),
        ("same-2", f"{EXPORTS[0]}/workspace", "vers=4.1"),
        ("other", f"{EXPORTS[0]}", "vers=4.1,rsize=65536"),
        ("snapshots", f"{EXPORTS[1]}", "vers=4.1"),
    ]
    lines = [
        f"mkdir -p /mnt/{name} && mount -t nfs4 -o {options} 127.0.0.1:{export} /mnt/{name}"
        for name, export, options in mounts
    ]
    places = " ".join(f"/mnt/{name}" for name, _, _ in mounts)
    machine.ssh(f"sudo sh -ec '{'; '.join(lines)}'")
    same, again, other, snapshots = machine.ssh(f"stat --format=%d {places}").stdout.split()
    machine.ssh(f"sudo umount {places}")
    assert same == again
    assert len({same, other, snapshots}) == 3


def test_the_kernel_has_no_headers_and_the_probe_loads(machine: Machine) -> None:
    assert machine.ssh("ls -d /lib/modules/*/build /usr/src/linux-headers*", check=False).stdout == ""
    machine.copy(probe_proof.AGENTS, probe_proof.PLACE)
    assert machine.ssh(probe_proof.COMMAND).stdout == "2\n"


def test_podman_plays_a_pod_from_a_loaded_image(machine: Machine) -> None:
    machine.ssh(
        "cd / && sudo tar --create --dereference bin/sh lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6"
        " | sudo podman import - localhost/lab:1"
        " && sudo podman save --quiet --output /root/lab.tar localhost/lab:1"
        " && sudo podman rmi localhost/lab:1 && sudo podman load --quiet --input /root/lab.tar"
    )
    machine.login.run("sudo podman play kube -", text=_POD, seconds=300.0)
    machine.ssh("sudo podman wait played-one")
    assert machine.ssh("sudo podman logs played-one").stdout == "played 42\n"
    machine.login.run("sudo podman play kube --down -", text=_POD, seconds=300.0)


def test_a_reboot_keeps_what_was_written_and_ends_mounts_before_their_server(machine: Machine) -> None:
    machine.ssh(
        f"sudo sh -ec 'mkdir -p /mnt/own; mount -t nfs4 127.0.0.1:{EXPORTS[0]} /mnt/own; echo kept >/mnt/own/kept'"
    )
    before = machine.ssh("cat /proc/sys/kernel/random/boot_id").stdout
    machine.reboot()
    assert machine.ssh("cat /proc/sys/kernel/random/boot_id").stdout != before
    assert machine.ssh(f"cat {EXPORTS[0]}/kept").stdout == "kept\n"
    assert "timed out" not in machine.journal("mnt-own.mount")
