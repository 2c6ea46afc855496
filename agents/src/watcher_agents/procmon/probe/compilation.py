"""Compiles probe.c for the running kernel and attaches it, with BCC."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO, Any

from watcher_agents.procmon.clock import TICK_NS
from watcher_agents.procmon.probe import headers
from watcher_agents.procmon.probe.btf import Btf, BtfError, MissingMemberError
from watcher_agents.procmon.probe.errors import ProbeError

# Raw tracepoints: the same places as sched:sched_process_exec and …_exit, but they need no tracefs, cost less,
# and are not skipped while another BPF program or a map access runs on the same CPU, as perf's are.
TRACEPOINTS = {b"sched_process_exec": b"on_exec", b"sched_process_exit": b"on_exit"}

# The members that probe.c reads: the structure, then the way to the member. OFFSET_<joined by _> in C.
_MEMBERS = (
    ("task_struct", "group_leader"),
    ("task_struct", "start_boottime"),
    ("task_struct", "exit_code"),
    ("task_struct", "signal"),
    ("task_struct", "mm"),
    ("task_struct", "fs"),
    ("task_struct", "nsproxy"),
    ("task_struct", "thread_pid"),
    ("task_struct", "tgid"),
    ("signal_struct", "live", "counter"),
    ("signal_struct", "flags"),
    ("signal_struct", "group_exit_code"),
    ("nsproxy", "uts_ns"),
    ("nsproxy", "mnt_ns"),
    ("pid", "level"),
    ("pid", "numbers"),
    ("upid", "ns"),
    ("pid_namespace", "child_reaper"),
    ("uts_namespace", "name", "nodename"),
    ("mm_struct", "exe_file"),
    ("mm_struct", "arg_start"),
    ("mm_struct", "arg_end"),
    ("file", "f_path", "dentry"),
    ("fs_struct", "pwd", "dentry"),
    ("dentry", "d_parent"),
    ("dentry", "d_name", "name"),
    ("dentry", "d_sb"),
    ("super_block", "s_dev"),
)
# The number of a mount namespace that is never given again: before Linux 6.18, and since.
_NAMESPACE_NUMBERS = (("mnt_namespace", "seq"), ("mnt_namespace", "ns", "ns_id"))

_REASON_LIMIT = 400

_log = logging.getLogger(__name__)


def load_program(*, prefix: bytes, ring_pages: int, live_entries: int) -> Any:
    """The BPF object of BCC, its programs attached.

    `prefix` of the hostname, `ring_pages` and `live_entries` as ProcessProbe has them. Raises ProbeError with the
    compiler's or the verifier's reason.
    """
    bcc = _bcc()
    settings = {
        "PREFIX_LENGTH": len(prefix),
        "PREFIX_BYTES": ",".join(str(byte) for byte in prefix),
        "RING_PAGES": ring_pages,
        "LIVE_ENTRIES": live_entries,
        "TICK_NS": f"{TICK_NS}ULL",
        **_offsets(),
    }
    flags = ["-w", *headers.compiler_flags(), *(f"-D{name}={value}" for name, value in settings.items())]
    source = resources.files(__package__).joinpath("probe.c").read_bytes()
    bpf = None
    with _kernel_source(), _stderr() as messages:
        try:
            bpf = bcc.BPF(text=source, cflags=flags)
            for tracepoint, function in TRACEPOINTS.items():
                bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
        # BCC raises bare Exception, and says why on stderr only.
        except Exception as error:
            if bpf is not None:
                bpf.cleanup()
            messages.seek(0)
            said = messages.read().decode(errors="replace")
            _log.debug("BCC on standard error: %s", said)
            raise ProbeError(f"the probe could not be loaded: {_reason(str(error), said)}") from error
    return bpf


def _bcc() -> Any:
    """BCC's Python module, imported late: rules, tables and decoding work on machines that have none."""
    try:
        import bcc
    except ImportError as error:
        raise ProbeError(
            f"package python3-bpfcc is missing for {sys.executable}: {error} (a venv must see the system's)"
        ) from error
    except OSError as error:
        raise ProbeError(f"package python3-bpfcc is not whole: {error}") from error
    if not hasattr(bcc, "BPF"):
        raise ProbeError(
            f"{bcc.__file__ or list(bcc.__path__)} is not the bcc of package python3-bpfcc,"
            " but hides it or stands in its place (PyPI's bcc is an unrelated package)"
        )
    return bcc


def _offsets() -> dict[str, int]:
    try:
        btf = Btf.of_running_kernel()
        offsets = {f"OFFSET_{'_'.join(path)}": btf.offset(*path) for path in _MEMBERS}
        return offsets | {"OFFSET_mnt_namespace_id": _offset_of_either(btf, *_NAMESPACE_NUMBERS)}
    except BtfError as error:
        raise ProbeError(str(error)) from error


def _offset_of_either(btf: Btf, older: tuple[str, ...], newer: tuple[str, ...]) -> int:
    try:
        return btf.offset(*older)
    except MissingMemberError:
        return btf.offset(*newer)


@contextmanager
def _kernel_source() -> Iterator[None]:
    """Let BCC find our headers in place of the kernel's."""
    name = "BCC_KERNEL_SOURCE"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(prefix="watcher-procmon-") as directory:
        headers.write_headers(Path(directory))
        os.environ[name] = directory
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


@contextmanager
def _stderr() -> Iterator[IO[bytes]]:
    """What is written to file descriptor 2 meanwhile: the compiler and the verifier write there, past Python."""
    with tempfile.TemporaryFile() as messages:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            yield messages
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _reason(error: str, said: str) -> str:
    """One line of what BCC said: the compiler's first error, else the verifier's last words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if " error: " in line or line.startswith("error:")]
    words = [line for line in lines if not line.startswith(("processed ", "HINT", "bpf: "))]
    reason = errors[0] if errors else words[-1] if words else ""
    return f"{error.splitlines()[0]}: {reason}"[:_REASON_LIMIT].rstrip(": ")
