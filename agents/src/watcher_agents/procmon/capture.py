"""Captures the programs of students' pods: from the kernel's records to classified, finished runs.

Three threads: one only drains the ring buffer, which must never wait; one decodes, joins and classifies; one looks
once for the processes that were there before the probe, and ends.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType

from watcher_agents.heartbeat import Heartbeat
from watcher_agents.procmon.clock import BootClock
from watcher_agents.procmon.forged_hostnames import ForgedHostnames
from watcher_agents.procmon.intake import Found, Gone, Item, ProgramIntake
from watcher_agents.procmon.loss_watch import LOOK_S, LossWatch, OnLosses
from watcher_agents.procmon.owners import Owners
from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.probe.loader import RING_PAGES, ProcessProbe
from watcher_agents.procmon.program_run import Reported
from watcher_agents.procmon.programs import ProgramTable
from watcher_agents.procmon.rules import Rules
from watcher_agents.procmon.running import RunningProcess, running_processes, start_boottime

_log = logging.getLogger(__name__)

_POLL_MS = 100
_BATCH = 256
# Beyond this the reader leaves records in the ring buffer, where the kernel counts what finds no room.
_QUEUE_LIMIT_BYTES = 64 << 20
_PAUSE_S = 0.01

OnPrograms = Callable[[list[Reported]], None]
OnFailure = Callable[[BaseException], None]


@dataclass(frozen=True)
class CaptureCounters:
    """What capture has done since its start, and what it holds now.

    `seen`: programs begun in students' pods. `reported`: finished ones handed over, by process_type.
    `already_running`: those of them that were found at the start. `exits_without_exec`: ends of processes whose
    program is not known, because its record was lost. `forged_hostnames`: programs begun under a hostname that is
    not their pod's. `queue_records`, `queue_bytes`: waiting for the worker.
    `processes`: alive now.
    """

    seen: int
    reported: dict[str, int]
    already_running: int
    exits_without_exec: int
    forged_hostnames: int
    queue_records: int
    queue_bytes: int
    processes: int


class ProcessCapture:
    """Captures from `start` to `stop`; also a context manager. Started once.

    `on_programs` gets each batch of finished programs, `on_losses` what was lost, both in the worker's thread;
    an exception that they raise ends the capture. `on_failure` gets the exception that ended a thread, in that
    thread. Nothing comes after that, and what is not captured is counted in `losses` at best: the owner should
    stop, and end with an error.
    """

    def __init__(
        self,
        *,
        hostname_prefix: str,
        rules: Rules,
        on_programs: OnPrograms,
        on_losses: OnLosses,
        on_failure: OnFailure,
        ring_pages: int = RING_PAGES,
    ) -> None:
        self._prefix = hostname_prefix
        self._on_programs = on_programs
        self._on_losses = on_losses
        self._on_failure = on_failure
        self._ring_pages = ring_pages
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self.heartbeat = Heartbeat()
        """Of the thread that decodes and hands over."""
        self._table = ProgramTable(BootClock())
        self._forged = ForgedHostnames()
        self._intake = ProgramIntake(Owners(hostname_prefix, self._forged), rules, self._table)
        self._probe: ProcessProbe | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        # Each has one writer, so neither takes a lock; the difference is what waits in the queue.
        self._bytes_in = 0
        self._bytes_out = 0
        self._already_running = 0
        self._not_followed = 0
        self._watch: LossWatch | None = None
        self._final_losses: dict[str, int] | None = None

    def start(self) -> None:
        """Load the probe and start the threads. Raises ProbeError where the probe cannot be loaded."""
        if self._probe is not None:
            raise RuntimeError("a capture starts once")
        probe = ProcessProbe(self._prefix, self._received, ring_pages=self._ring_pages)
        self._probe = probe
        self._watch = LossWatch(self._table, lambda: self._losses(probe), self._on_losses)
        for name, body in (("reader", self._read), ("worker", self._work), ("scan", self._scan)):
            thread = threading.Thread(target=self._run, args=(body, probe), name=f"procmon-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Hand over what has ended by now and take the probe out of the kernel.

        Programs that still run are not reported; the next start finds them.
        """
        if self._probe is None or self._final_losses is not None:
            return
        reader, worker, scan = self._threads
        self._stopping.set()
        scan.join()
        reader.join()
        self._queue.put(None)
        worker.join()
        self._final_losses = self._losses(self._probe)
        self._probe.close()

    def __enter__(self) -> "ProcessCapture":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def use_rules(self, rules: Rules) -> None:
        """Classify by these rules what begins from now on."""
        self._intake.rules = rules

    def losses(self) -> dict[str, int]:
        """What was not recorded, by cause, since the start.

        Those of ProcessProbe.losses, and: `ends_unseen`, programs whose end was lost; `evicted`, programs given up
        because too many ran; `not_followed`, programs found at the start that had ended, or for which the probe
        had no room, before it could follow them.
        """
        if self._probe is None:
            return {}
        return self._losses(self._probe) if self._final_losses is None else dict(self._final_losses)

    def whole_until_ns(self) -> int | None:
        """Up to when all that ended has been handed over or declared lost, ns since the epoch; None: until now."""
        if self._watch is None or self._final_losses is not None:
            return None
        return self._watch.whole_until_ns

    def counters(self) -> CaptureCounters:
        """What has been done, for metrics."""
        return CaptureCounters(
            seen=self._intake.seen,
            reported=dict(self._intake.reported),
            already_running=self._already_running,
            exits_without_exec=self._table.exits_without_exec,
            forged_hostnames=self._forged.programs,
            queue_records=self._queue.qsize(),
            queue_bytes=self._bytes_in - self._bytes_out,
            processes=len(self._table),
        )

    def _losses(self, probe: ProcessProbe) -> dict[str, int]:
        return {
            **probe.losses(),
            "ends_unseen": self._table.ends_unseen,
            "evicted": self._table.evicted,
            "not_followed": self._not_followed,
        }

    def _run(self, body: Callable[[ProcessProbe], None], probe: ProcessProbe) -> None:
        try:
            body(probe)
        except BaseException as failure:
            self._on_failure(failure)
            raise

    def _received(self, raw: bytes) -> None:
        while self._bytes_in - self._bytes_out > _QUEUE_LIMIT_BYTES and not self._stopping.is_set():
            time.sleep(_PAUSE_S)
        self._bytes_in += len(raw)
        self._queue.put(raw)

    def _read(self, probe: ProcessProbe) -> None:
        while not self._stopping.is_set():
            probe.poll(_POLL_MS)
        probe.detach()
        probe.poll(0)

    def _work(self, _probe: ProcessProbe) -> None:
        watch = self._watch
        assert watch is not None
        running = True
        while running:
            batch, running = self._next_batch()
            finished = [reported for item in batch if (reported := self._intake.take(item)) is not None]
            if finished:
                self._on_programs(finished)
            watch.look_where_due(idle=self._queue.empty())
        watch.finish()

    def _next_batch(self) -> tuple[list[Item], bool]:
        """Waits for what there is, at most until the next sweep; False where nothing comes after it."""
        batch: list[Item] = []
        self.heartbeat.rest()
        try:
            item = self._queue.get(timeout=LOOK_S)
            self.heartbeat.beat()
            while item is not None:
                batch.append(item)
                if isinstance(item, bytes):
                    self._bytes_out += len(item)
                if len(batch) == _BATCH:
                    return batch, True
                item = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _scan(self, probe: ProcessProbe) -> None:
        for process in running_processes(self._prefix):
            if self._stopping.is_set():
                return
            reportable = self._intake.reportable(process)
            # Read first, then asked: if the probe does not know it by now, what was read is from before any exec
            # that the probe will tell of.
            if reportable is not None and not probe.follows(process.pid):
                self._follow(probe, process, Found(process.pid, process.start_boottime, reportable))

    def _follow(self, probe: ProcessProbe, process: RunningProcess, found: Found) -> None:
        # Told of before it is followed: its end must not come first.
        self._queue.put(found)
        try:
            followed = probe.adopt(process.pid, process.start_boottime)
        except ProbeError as error:
            _log.warning("%s", error)
            ended = True
        else:
            # Where the entry is still there although the process is not, its end came before the entry.
            is_gone = start_boottime(process.pid) != process.start_boottime
            ended = followed and is_gone and probe.forget(process.pid, process.start_boottime)
        if ended:
            self._not_followed += 1
            self._queue.put(Gone(process.pid, process.start_boottime))
        else:
            self._already_running += 1
