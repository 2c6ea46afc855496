"""Loads the process probe into the kernel and drains what it records."""

import atexit
import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from watcher_agents.procmon.probe.compilation import TRACEPOINTS, load_program
from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.probe.preflight import check_machine

RING_PAGES = 2048
LIVE_ENTRIES = 32768
NODENAME_LIMIT = 64

# In the order of `enum loss` in probe.c.
_CAUSES = (
    "exec_ring_full",
    "exit_ring_full",
    "live_full",
    "exe_unreadable",
    "cwd_unreadable",
    "argv_unreadable",
)
_BPF_NOEXIST = 1

Deliver = Callable[[bytes], None]


class _LiveProcess(ctypes.Structure):
    _fields_ = (
        ("start_boottime", ctypes.c_uint64),
        ("image_boottime", ctypes.c_uint64),
        ("leader_exited", ctypes.c_uint64),
    )


class ProcessProbe:
    """The loaded probe: it records every exec in a UTS namespace whose hostname starts with `hostname_prefix`,
    and the end of every process that it or `adopt` has followed.

    `deliver` gets each record (records.py decodes it) in the thread that polls. `ring_pages` is a power of two.
    Raises ProbeError where the probe cannot be loaded.
    """

    def __init__(
        self,
        hostname_prefix: str,
        deliver: Deliver,
        *,
        ring_pages: int = RING_PAGES,
        live_entries: int = LIVE_ENTRIES,
    ) -> None:
        prefix = hostname_prefix.encode()
        if not 0 < len(prefix) <= NODENAME_LIMIT:
            raise ValueError(f"hostname_prefix is {hostname_prefix!r}: it must have 1 to {NODENAME_LIMIT} bytes")
        if ring_pages < 1 or ring_pages & (ring_pages - 1):
            raise ValueError(f"ring_pages is {ring_pages}: it must be a power of two")
        self._deliver = deliver
        self._delivery_failed = False
        check_machine()
        self._bpf = load_program(prefix=prefix, ring_pages=ring_pages, live_entries=live_entries)
        self._live_fd: int = self._bpf[b"live"].map_fd
        self._losses: Any = self._bpf[b"losses"]
        self._program_fds = [self._bpf.funcs[function].fd for function in TRACEPOINTS.values()]
        self._bpf[b"records"].open_ring_buffer(self._received)

    def poll(self, timeout_ms: int) -> None:
        """Deliver what the ring buffer holds, after waiting at most `timeout_ms` for the first record.

        Raises ProbeError where `deliver` has raised: the exception cannot pass through the C library in between.
        """
        self._bpf.ring_buffer_poll(timeout_ms)
        if self._delivery_failed:
            raise ProbeError("a record from the kernel could not be taken over; the traceback is above")

    def adopt(self, pid: int, start_boottime: int) -> bool:
        """Follow a process that was there before the probe; False where the probe knows the pid already.

        `start_boottime` in nanoseconds; whole clock ticks, as /proc has it, are enough. Raises ProbeError where
        no more processes can be followed.
        """
        key, value = ctypes.c_uint32(pid), _LiveProcess(start_boottime, 0, 0)
        problem = self._map_call("bpf_update_elem", key, ctypes.byref(value), _BPF_NOEXIST)
        if problem not in (0, errno.EEXIST):
            raise ProbeError(f"process {pid} cannot be followed: {os.strerror(problem)}")
        return problem == 0

    def follows(self, pid: int) -> bool:
        """Whether the end of this process will be recorded."""
        value = _LiveProcess()
        return self._map_call("bpf_lookup_elem", ctypes.c_uint32(pid), ctypes.byref(value)) == 0

    def forget(self, pid: int, start_boottime: int) -> bool:
        """Follow a process no longer; False where it is not one that was adopted and has called no exec since."""
        key, value = ctypes.c_uint32(pid), _LiveProcess()
        if self._map_call("bpf_lookup_elem", key, ctypes.byref(value)) != 0:
            return False
        if value.image_boottime != 0 or value.start_boottime != start_boottime:
            return False
        return self._map_call("bpf_delete_elem", key) == 0

    def losses(self) -> dict[str, int]:
        """What the kernel could not record, by cause, since the probe was loaded.

        `exec_ring_full`, `exit_ring_full`: the ring buffer had no room. `live_full`: more processes than
        `live_entries` at once. `…_unreadable`: that part of a record is missing, the record is not.
        `probe_skipped`: the kernel ran the probe not at all (counted by kernels from 5.12).
        """
        counted = {
            cause: int(self._losses.sum(ctypes.c_uint32(index)).value) for index, cause in enumerate(_CAUSES)
        }
        counted["probe_skipped"] = sum(_skipped(fd) for fd in self._program_fds)
        return counted

    def detach(self) -> None:
        """Record nothing more; what the ring buffer holds can still be polled."""
        for tracepoint in list(self._bpf.raw_tracepoint_fds):
            self._bpf.detach_raw_tracepoint(tracepoint)

    def close(self) -> None:
        """Take the probe out of the kernel. Nothing else may be called after."""
        self._bpf.cleanup()
        atexit.unregister(self._bpf.cleanup)

    def _map_call(self, function: str, key: ctypes.c_uint32, *arguments: object) -> int:
        """Errno of an access to the map of followed processes, 0 for success.

        BCC's own dictionary cannot say "only where it is not there yet".
        """
        from bcc.libbcc import lib

        ctypes.set_errno(0)
        failed = getattr(lib, function)(self._live_fd, ctypes.byref(key), *arguments) < 0
        return ctypes.get_errno() if failed else 0

    def _received(self, _context: object, data: int, size: int) -> None:
        failed = True
        try:
            self._deliver(ctypes.string_at(data, size))
            failed = False
        finally:
            self._delivery_failed |= failed


def _skipped(program_fd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{program_fd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "recursion_misses":
            return int(value)
    return 0
