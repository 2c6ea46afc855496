"""The processes of students' pods that were there before the probe, read from /proc.

A process may end at any moment while it is looked at; it is then left out, and whoever follows it finds that out.
"""

import ctypes
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from watcher_agents.mounts import Mount, parse_mountinfo, path_in_file_system
from watcher_agents.procmon.clock import TICK_NS
from watcher_agents.procmon.probe.records import arguments, bounded_path, text

_log = logging.getLogger(__name__)

PROC = Path("/proc")
_ARGV_LIMIT = 16384
_CLONE_NEWUTS = 0x04000000
_DELETED = " (deleted)"
# In /proc/<pid>/stat, counted from the state, which is the first field after the name in parentheses.
_STATE, _PARENT, _THREADS, _START_TICKS = 0, 1, 17, 19


@dataclass(frozen=True)
class RunningProcess:
    """A process as /proc shows it.

    `start_boottime` is when it began (boot time, ns), in whole clock ticks: when its program was put in place is
    not known. Paths are inside their file system, as the probe gives them.
    """

    pid: int
    start_boottime: int
    hostname: str
    binary_path: str
    cwd: str
    argv: tuple[str, ...]
    truncated: bool
    mount_namespace: str


def running_processes(hostname_prefix: str, proc: Path = PROC) -> Iterator[RunningProcess]:
    """The live processes in UTS namespaces whose hostname starts with `hostname_prefix`.

    Each is read when it is asked for, so that it is fresh. Those that the kernel does not let us look into (that
    takes CAP_SYS_PTRACE, and some guard themselves) are left out with a line in the log. Raises PermissionError
    without the right to enter UTS namespaces (CAP_SYS_ADMIN).
    """
    by_namespace: dict[str, list[int]] = {}
    hidden = []
    for pid in _pids(proc):
        try:
            namespace = _link(proc / str(pid) / "ns/uts")
        except PermissionError:
            hidden.append(pid)
            continue
        if namespace is not None:
            by_namespace.setdefault(namespace, []).append(pid)
    if hidden:
        _log.info("not looked into, for lack of permission: %d processes, %s first", len(hidden), hidden[0])
    hostnames = _hostnames(by_namespace, proc)
    mounts: dict[str, list[Mount]] = {}
    for namespace, pids in by_namespace.items():
        hostname = hostnames.get(namespace)
        if hostname is None or not hostname.startswith(hostname_prefix):
            continue
        for pid in pids:
            process = _process(proc / str(pid), pid, hostname, mounts)
            if process is not None:
                yield process


def start_boottime(pid: int, proc: Path = PROC) -> int | None:
    """When the live process with this pid began (boot time, ns, whole clock ticks); None where there is none.

    A zombie is not live, its end has been told; but where only the first thread has ended the process lives on.
    """
    fields = _stat(pid, proc)
    if fields is None:
        return None
    ended = fields[_STATE] in (b"Z", b"X") and int(fields[_THREADS]) <= 1
    return None if ended else int(fields[_START_TICKS]) * TICK_NS


def parent_of(pid: int, proc: Path = PROC) -> int | None:
    """The pid of a process's parent, 0 where that is in no namespace of ours; None where the process is gone."""
    fields = _stat(pid, proc)
    return None if fields is None else int(fields[_PARENT])


def mount_namespace_of(pid: int, proc: Path = PROC) -> str | None:
    """What the kernel shows as a process's mount namespace; None where it is gone, or guards itself."""
    try:
        return _link(proc / str(pid) / "ns/mnt")
    except PermissionError:
        return None


def _stat(pid: int, proc: Path) -> list[bytes] | None:
    stat = _contents(proc / str(pid) / "stat")
    return None if stat is None else stat[stat.rindex(b")") + 2 :].split()


def _process(entry: Path, pid: int, hostname: str, mounts: dict[str, list[Mount]]) -> RunningProcess | None:
    start = start_boottime(pid, entry.parent)
    mount_namespace = _link(entry / "ns/mnt")
    root, exe, cwd = _link(entry / "root"), _link(entry / "exe"), _link(entry / "cwd")
    cmdline = _contents(entry / "cmdline", _ARGV_LIMIT + 1)
    if start is None or mount_namespace is None or cmdline is None or root is None or exe is None or cwd is None:
        return None
    if mount_namespace not in mounts:
        mountinfo = _contents(entry / "mountinfo")
        if mountinfo is None:
            return None
        mounts[mount_namespace] = parse_mountinfo(text(mountinfo))
    if start_boottime(pid, entry.parent) != start:
        return None
    return RunningProcess(
        pid=pid,
        start_boottime=start,
        hostname=hostname,
        binary_path=_path(exe, root, mounts[mount_namespace]),
        cwd=_path(cwd, root, mounts[mount_namespace]),
        argv=arguments(cmdline[:_ARGV_LIMIT]),
        truncated=len(cmdline) > _ARGV_LIMIT,
        mount_namespace=mount_namespace,
    )


def _path(link: str, root: str, mounts: list[Mount]) -> str:
    """Where a link of a process's points, inside its file system.

    Links show the way from the top of the mount namespace, mountinfo that from the process's own root.
    """
    path = link.removesuffix(_DELETED)
    if root != "/" and f"{path}/".startswith(f"{root}/"):
        path = path[len(root) :] or "/"
    return bounded_path(path_in_file_system(path, mounts))


def _pids(proc: Path) -> list[int]:
    return [int(entry.name) for entry in os.scandir(proc) if entry.name.isdecimal()]


def _hostnames(by_namespace: dict[str, list[int]], proc: Path) -> dict[str, str]:
    """Hostname of each UTS namespace, read by a thread that enters one after the other.

    setns(2) moves the calling thread only, and this one ends here: nothing else of the program changes its
    hostname. (os.setns exists from Python 3.12 on.)
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_enter_each, by_namespace, proc).result()


def _enter_each(by_namespace: dict[str, list[int]], proc: Path) -> dict[str, str]:
    hostnames = {}
    for namespace, pids in by_namespace.items():
        hostname = _hostname(namespace, pids, proc)
        if hostname is not None:
            hostnames[namespace] = hostname
    return hostnames


def _hostname(namespace: str, pids: Iterable[int], proc: Path) -> str | None:
    """Through the first process that is still there and still in that namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in pids:
        try:
            descriptor = os.open(proc / str(pid) / "ns/uts", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            continue
        try:
            if _link(PROC / f"self/fd/{descriptor}") != namespace:
                continue
            if libc.setns(descriptor, _CLONE_NEWUTS) != 0:
                number = ctypes.get_errno()
                raise OSError(number, f"{os.strerror(number)}: entering the UTS namespace of process {pid}")
            return os.uname().nodename
        finally:
            os.close(descriptor)
    return None


def _link(path: Path) -> str | None:
    """Where a link of /proc points; None where the process is gone or, being the kernel's, has none."""
    try:
        return text(os.fsencode(path.readlink()))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _contents(path: Path, limit: int = -1) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError as error:
        # What mountinfo answers of a process that has nothing left but its entry.
        if error.errno != errno.EINVAL:
            raise
        return None
