"""Debian file systems that the lab's nodes and machines boot from, made with debootstrap and apt."""

from collections.abc import Sequence
from pathlib import Path

from lab.cache import cached
from lab.commands import call

SUITE = "bookworm"
OPERATOR = "operator"
"""The user that Ansible logs in as; sudo makes it root without a password."""

_MIRROR = "http://deb.debian.org/debian"
_BASE = ["systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "python3-apt", "sudo", "iproute2"]
_BASE += ["procps", "kmod", "ca-certificates"]
# What the roles install, and a compiler: they lie in apt's archive, so that a node's apt need not download them.
_DOWNLOADED = [
    "python3-bpfcc",
    "linux-libc-dev",
    "python3-systemd",
    "nfs-common",
    "python3-venv",
    "gcc",
    "libc6-dev",
]
_LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_APT_SETTINGS = ["Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date"]

# Half of the time goes into fsync and into files that nobody reads in the lab.
_DPKG = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
"""
_APT = """\
APT::Install-Recommends "false";
Acquire::Languages "none";
Dpkg::Use-Pty "false";
// The archive is the node's only store of packages: apt must not empty it.
APT::Keep-Downloaded-Packages "true";
Binary::apt::APT::Keep-Downloaded-Packages "true";
"""
# The kernel's settings are read-only in a container. A node may set the limits of inotify; the others are the
# machine's. (/sys stays read-only, or networkd would wait for a udev that there is none of.)
_INOTIFY_UNIT = """\
[Unit]
Description=Writable limits of inotify
DefaultDependencies=no
Before=sysinit.target systemd-sysctl.service
ConditionVirtualization=container

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=mkdir -p /run/lab-proc
ExecStart=mount -t proc proc /run/lab-proc
ExecStart=mount --bind /run/lab-proc/sys/fs/inotify /proc/sys/fs/inotify
ExecStart=umount /run/lab-proc

[Install]
WantedBy=sysinit.target
"""
_FINISH = f"""\
set -eu
update-ca-certificates
useradd --create-home --shell /bin/bash --gid operator {OPERATOR}
echo '{OPERATOR} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{OPERATOR}
chmod 440 /etc/sudoers.d/{OPERATOR}
echo PIP_CERT=/etc/ssl/certs/ca-certificates.crt >>/etc/environment
systemctl enable systemd-networkd.service lab-inotify.service
# What runs by the clock would hold apt's lock in the middle of a test.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
# It needs a file system that a container's kernel may lack: the node would start as degraded.
ln -s /dev/null /etc/systemd/system/run-rpc_pipefs.mount
mkdir -p /var/log/journal
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id
"""


def node_tree() -> Path:
    """The file system of a bare node: what a Debian server has, and nothing that the roles install. Read-only."""
    made_from = [SUITE, _MIRROR, _BASE, _DOWNLOADED, _DPKG, _APT, _INOTIFY_UNIT, _FINISH, _machine_settings()]
    return cached("node", made_from, _make_node_tree)


def _make_node_tree(tree: Path) -> None:
    write(tree, "etc/dpkg/dpkg.cfg.d/lab", _DPKG)
    write(tree, "etc/apt/apt.conf.d/90lab", _APT + _apt_settings())
    call(*_NAMESPACES, "--mount-proc", "debootstrap", "--variant=minbase", SUITE, tree, _MIRROR)
    for certificate in _certificates():
        write(tree, str(certificate).removeprefix("/"), certificate.read_text())
    write(tree, "etc/systemd/system/lab-inotify.service", _INOTIFY_UNIT)
    install(tree, _BASE)
    run_in(tree, "apt-get clean")
    install(tree, _DOWNLOADED, "--download-only")
    run_in(tree, _FINISH)


def install(tree: Path, packages: Sequence[str], *options: str) -> None:
    """Install Debian packages in a tree; the services in them are not started."""
    write(tree, "etc/resolv.conf", resolv_conf())
    policy = write(tree, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    run_in(tree, f"DEBIAN_FRONTEND=noninteractive apt-get install -y -qq {' '.join([*options, *packages])}")
    policy.unlink()


_NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]


def run_in(tree: Path, script: str) -> None:
    """Run a shell script as root with a tree as its root; what it mounts or leaves running ends with it."""
    call(*_NAMESPACES, f"--mount-proc={tree}/proc", "chroot", tree, "env", "LC_ALL=C.UTF-8", "sh", "-c", script)


def write(tree: Path, name: str, content: str, mode: int = 0o644) -> Path:
    """Write a file in a tree, with the directories above it; also over a symbolic link."""
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode)
    path.write_text(content)
    path.chmod(mode)
    return path


def resolv_conf() -> str:
    """The name servers that this machine uses, for file systems that use its network."""
    stub = Path("/run/systemd/resolve/resolv.conf")
    return (stub if stub.exists() else Path("/etc/resolv.conf")).read_text()


def _machine_settings() -> list[str]:
    return [_apt_settings(), *(certificate.read_text() for certificate in _certificates())]


def _apt_settings() -> str:
    """What this machine's apt needs to reach its mirrors: a proxy, a clock that is not the mirror's."""
    return call("apt-config", "dump", "--no-empty", "--format", '%F "%v";%n', *_APT_SETTINGS)


def _certificates() -> list[Path]:
    return sorted(_LOCAL_CERTIFICATES.glob("**/*.crt"))
