"""What the probe sends: the layout of exec_record and exit_record in probe.c, decoded.

Names and arguments are bytes to the kernel. They are decoded as UTF-8; a byte that does not fit becomes its escape
(backslash, x and two digits), so that every text can be stored and sent.
"""

import struct
from dataclasses import dataclass

# A path that is not known from its root on begins with this, and so is neither absolute nor in any assignment.
CUT = "…"
# What the wire contract allows a path.
_PATH_LIMIT = 8192

_KIND = struct.Struct("=I")
_EXEC_KIND, _EXIT_KIND = 1, 2
_EXEC = struct.Struct("=IIQQQIIIIIIQQII72s72s")
_EXIT = struct.Struct("=IIQQQII")
_EXE_TRUNCATED, _CWD_TRUNCATED, _ARGV_TRUNCATED = 1, 2, 4
_EXE_UNREADABLE, _CWD_UNREADABLE, _ARGV_UNREADABLE = 8, 16, 32


class RecordError(Exception):
    """A record is not what probe.c writes."""


@dataclass(frozen=True)
class Exec:
    """A process has put a program in place. Times are boot time in ns (clock.BootClock converts them).

    `start_boottime` is when the process began, which exec does not change: with the pid it names the process.
    `boottime` is when this program began. Paths are inside their file system: what is above its root is not seen,
    whatever it is mounted at. The devices (major << 20 | minor) are of the file systems of the two paths.
    `mount_namespace` is a number that no other one gets until the next boot. `init_pid` and `init_start_boottime`
    name the pod's first process, `init_hostname` is that process's; 0 and empty where it is not known (a pod in
    the node's own pid namespace).
    `truncated`: a path or argv was longer than the probe carries, or could not be read.
    """

    pid: int
    start_boottime: int
    boottime: int
    hostname: str
    binary_path: str
    cwd: str
    argv: tuple[str, ...]
    truncated: bool
    exe_device: int
    cwd_device: int
    mount_namespace: int
    init_pid: int
    init_start_boottime: int
    init_hostname: str


@dataclass(frozen=True)
class Exit:
    """A process has ended, all its threads. Times as in Exec.

    `image_boottime` is the `boottime` of its last Exec, 0 where the process was adopted and has called no exec
    since. `status` is the one that wait(2) gives.
    """

    pid: int
    start_boottime: int
    boottime: int
    image_boottime: int
    status: int

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended it."""
        return self.status & 0x7F or None

    @property
    def exit_code(self) -> int | None:
        """What it passed to exit, 0 to 255; None where a signal ended it."""
        return None if self.signal else self.status >> 8 & 0xFF

    @property
    def core_dumped(self) -> bool:
        """Whether the signal left a core dump."""
        return bool(self.signal and self.status & 0x80)


def decode(raw: bytes) -> Exec | Exit:
    """Decode one record. Raises RecordError."""
    try:
        (kind,) = _KIND.unpack_from(raw)
        if kind == _EXEC_KIND:
            return _decode_exec(raw)
        if kind == _EXIT_KIND:
            _, pid, start, boottime, image, status, _ = _EXIT.unpack_from(raw)
            return Exit(pid, start, boottime, image, status)
    except struct.error as error:
        raise RecordError(f"a record of {len(raw)} bytes is cut short: {error}") from error
    raise RecordError(f"a record is of kind {kind}, which is not known")


def text(raw: bytes) -> str:
    """Bytes of the kernel's as text."""
    return raw.decode(errors="backslashreplace")


def arguments(raw: bytes) -> tuple[str, ...]:
    """The arguments in `raw`, each ended by NUL, the last one perhaps cut."""
    if not raw:
        return ()
    return tuple(text(argument) for argument in raw.removesuffix(b"\0").split(b"\0"))


def bounded_path(path: str) -> str:
    """The path, or the end of it that the wire contract has room for."""
    return path if len(path) <= _PATH_LIMIT else CUT + path[len(CUT) - _PATH_LIMIT :]


def _decode_exec(raw: bytes) -> Exec:
    fields = _EXEC.unpack_from(raw)
    (
        _,
        pid,
        start,
        boottime,
        argv_length,
        flags,
        exe_device,
        cwd_device,
        exe_size,
        cwd_size,
        argv_size,
        mount_namespace,
        init_start_boottime,
        init_pid,
        _,
        nodename,
        init_nodename,
    ) = fields
    cwd_at = _EXEC.size + exe_size
    argv_at = cwd_at + cwd_size
    if argv_at + argv_size > len(raw):
        raise RecordError(f"an exec record of {len(raw)} bytes should have {argv_at + argv_size}")
    binary_path = _path(raw[_EXEC.size : cwd_at], bool(flags & (_EXE_TRUNCATED | _EXE_UNREADABLE)))
    cwd = _path(raw[cwd_at:argv_at], bool(flags & (_CWD_TRUNCATED | _CWD_UNREADABLE)))
    return Exec(
        pid=pid,
        start_boottime=start,
        boottime=boottime,
        hostname=_hostname(nodename),
        binary_path=binary_path,
        cwd=cwd,
        argv=arguments(raw[argv_at : argv_at + argv_size]),
        truncated=bool(flags) or argv_size < argv_length or CUT in (binary_path[:1], cwd[:1]),
        exe_device=exe_device,
        cwd_device=cwd_device,
        mount_namespace=mount_namespace,
        init_pid=init_pid,
        init_start_boottime=init_start_boottime,
        init_hostname=_hostname(init_nodename),
    )


def _hostname(raw: bytes) -> str:
    return text(raw.split(b"\0", 1)[0])


def _path(names: bytes, cut: bool) -> str:
    """Join names that stand from the leaf up, each ended by NUL."""
    parts = [text(name) for name in reversed(names.split(b"\0")) if name]
    return bounded_path((CUT if cut else "") + "/" + "/".join(parts))
