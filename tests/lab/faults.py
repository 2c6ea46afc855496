"""Every fault that the suite injects, and what Watcher promises for it: docs/faults.md is made of this."""

import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lab.fault_proxy import Mode
from lab.fault_scene import AGENTS, FaultScene, bind, filled, inotify_limit, read_only, unmount
from lab.second_node import SecondNode
from lab.stack import Program
from lab.waiting import wait_for

Inject = Callable[[FaultScene, random.Random], AbstractContextManager[None]]

_SMALL_QUEUE = 16
_TRIES = 3
_UNPACKED_FILES = 60
_BIG_FILES = 200
_BIG_FILE_BYTES = 60_000
"""All of them take more than the spool of a run may hold, and none more than the rules let be recorded."""
_FLOOD_PROGRAMS = 1200
"""With 12 kB of arguments each, more than the ring buffer of 8 MiB holds."""
_PAGE_BYTES = 4096
_BACK_OFF_SECONDS = 45.0
"""An agent whose tries have failed for long tries again within this time."""


@dataclass(frozen=True)
class Fault:
    """A fault, and what comes of it. The texts are for people who run Watcher."""

    name: str
    does: str
    """What happens to the node."""
    kept: str
    """What is recorded all the same."""
    declared: str
    """What is declared lost."""
    told: str
    """How an operator learns of it."""
    inject: Inject = field(repr=False)
    seconds: float = 3.0
    """How long it lasts; what it takes to bring it about and to take it back comes on top."""
    causes: frozenset[str] = frozenset()
    """The causes of the gaps that it explains."""
    needs_pods: bool = False
    """Whether it is one of pods' mounts: the run has to be with them."""
    restarts: frozenset[Program] = frozenset()
    """Programs that do not live through it: killed, stopped, or ended by themselves."""


@contextmanager
def _stopped(program: Program, scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    pid = scene.stack.pid(program)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _killed(program: Program, scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    scene.stack.kill(program)
    yield
    scene.stack.start(program)


@contextmanager
def _flooded(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    with _stopped("procmon", scene, chance):
        chance.choice(scene.students).want_programs(_FLOOD_PROGRAMS)
        scene.wait_for_students()
        yield


@contextmanager
def _overflowed(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    for _ in range(_TRIES):
        scene.stack.stop("filemon")
        # The kernel gives each queue the limit of the time at which it was made.
        with inotify_limit("max_queued_events", _SMALL_QUEUE):
            scene.stack.start("filemon")
        with _stopped("filemon", scene, chance):
            chance.choice(scene.students).want_files(_UNPACKED_FILES)
            scene.wait_for_students()
            scene.hold(0.5)
        # Whoever else sets the limit at this moment (it is the machine's) may have given filemon a long queue.
        scene.hold(1.5)
        if scene.stack.metric("filemon", "watcher_inotify_overflows_total") > 0:
            break
    else:
        raise AssertionError(f"{_UNPACKED_FILES} new files gave a queue of {_SMALL_QUEUE} no overflow")
    yield
    # Back to the usual limit.
    scene.stack.stop("filemon")
    scene.stack.start("filemon")


@contextmanager
def _without_watches(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    with inotify_limit("max_user_watches", 3):
        for student in scene.students:
            student.want_files(chance.randrange(2, 10))
        scene.wait_for_students()
        yield


@contextmanager
def _misbehaving(mode: Mode, scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    before = scene.proxy.hits[mode]
    scene.proxy.behave(mode)
    try:
        yield
        if mode != "refuse":
            # A fault that met no request would prove nothing.
            wait_for(lambda: scene.proxy.hits[mode] > before, f"a request to meet {mode!r}", _BACK_OFF_SECONDS)
    finally:
        scene.proxy.behave("pass")
    # The next one is to meet agents that deliver again, not one long outage.
    passed = scene.proxy.hits["pass"]
    wait_for(lambda: scene.proxy.hits["pass"] > passed, "the agents to deliver again", _BACK_OFF_SECONDS)


@contextmanager
def _state_full(scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    with filled(scene.state("filemon")), filled(scene.state("procmon")):
        yield


@contextmanager
def _state_read_only(scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    # The kernel refuses this while an agent has its spool open, so it finds it so when it starts.
    scene.stack.stop(*AGENTS)
    with read_only(scene.state("filemon")), read_only(scene.state("procmon")):
        for agent in AGENTS:
            scene.stack.launch(agent)
        yield


@contextmanager
def _spool_damaged(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    scene.proxy.behave("refuse")
    try:
        scene.hold(1.5)
        scene.stack.kill("filemon")
        _overwrite(scene.state("filemon") / "spool.sqlite3", chance)
        scene.stack.launch("filemon")
        # A damage that meets nothing that is in use would prove nothing.
        wait_for(lambda: any(scene.state("filemon").glob("*.damaged-*")), "the damaged spool to be set aside")
        yield
    finally:
        scene.proxy.behave("pass")


def _overwrite(database: Path, chance: random.Random) -> None:
    """Overwrite every third page of a database that nobody has open, but for the first."""
    with closing(sqlite3.connect(database)) as connection:
        # What is in the log would count, and not what is in the file.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = range(_PAGE_BYTES, database.stat().st_size, 3 * _PAGE_BYTES)
    with database.open("r+b") as file:
        for page in pages:
            file.seek(page)
            file.write(chance.randbytes(_PAGE_BYTES))


@contextmanager
def _volume_full(scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    with filled(scene.volume):
        yield


@contextmanager
def _volume_read_only(scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    with read_only(scene.volume):
        yield


@contextmanager
def _spool_full(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    declared = 'watcher_gaps_total{cause="spool_full"}'
    before = scene.stack.metric("filemon", declared)
    with read_only(scene.volume):
        chance.choice(scene.students).want_files(_BIG_FILES, _BIG_FILE_BYTES)
        scene.wait_for_students()
        wait_for(lambda: scene.stack.metric("filemon", declared) > before, "the loss to be declared")
        yield


@contextmanager
def _volume_unmounted(scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    unmount(scene.stack.snapshots)
    try:
        yield
    finally:
        bind(scene.volume, scene.stack.snapshots)


@contextmanager
def _root_unmounted(scene: FaultScene, _chance: random.Random) -> Iterator[None]:
    unmount(scene.stack.workspaces)
    try:
        yield
    finally:
        bind(scene.export, scene.stack.workspaces)


@contextmanager
def _pod_replaced(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    student = chance.choice(scene.students)
    unmount(scene.pod_point(student))
    yield
    scene.mount_pod(student, "uid-2")
    # And back, so that the next fault finds it where it was: two pods of a student for a moment.
    scene.hold(1.0)
    scene.mount_pod(student)
    unmount(scene.pod_point(student, "uid-2"))


@contextmanager
def _pod_moved(scene: FaultScene, chance: random.Random) -> Iterator[None]:
    student = chance.choice(scene.students)
    with SecondNode(scene.stack, [scene.pod_point(one) for one in scene.students]) as node:
        unmount(scene.pod_point(student))
        scene.hold(0.5)
        node.mount(student.workspace, scene.pod_point(student))
        yield
        node.unmount(scene.pod_point(student))
        scene.mount_pod(student)
        # The first node sees it again before the second one goes.
        wait_for(
            lambda: scene.stack.metric("filemon", "watcher_workspaces") == len(scene.students),
            "the pod to be back",
        )
        scene.hold(1.0)
        wait_for(node.has_delivered, "the second node to deliver", _BACK_OFF_SECONDS)
        node.stop()


_NOTHING = "nothing"
_DELIVERY_TOLD = (
    'status: `backend failing for … s (…), nothing is lost`; `watcher_delivery_failures_total{sink="backend"}`;'
    " `watcher_spool_events` grows"
)
_VOLUME_TOLD = (
    "status: `snapshot_volume failing for … s (…), nothing is lost`;"
    ' `watcher_delivery_failures_total{sink="snapshot_volume"}`; `watcher_spool_unstored_events` grows'
)
_ALL = "everything: it waits in the spool"


def _backend_fault(name: str, mode: Mode, does: str) -> Fault:
    return Fault(
        name=name,
        does=does,
        kept=f"{_ALL}, and is stored once",
        declared="nothing, unless it lasts until the spool is full: then `spool_full`",
        told=_DELIVERY_TOLD,
        inject=partial(_misbehaving, mode),
        seconds=1.0,
        causes=frozenset({"spool_full"}),
    )


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="filemon suspended",
        does="filemon gets no processor for some seconds (SIGSTOP)",
        kept="each file's content at the end of that time, and all saves that the next one did not overtake",
        declared="`saves_overtaken` with how many, for each student; `unwatched` for those who made directories",
        told="systemd's watchdog, where it lasts for longer than that; `watcher_overtaken_saves_total`",
        inject=partial(_stopped, "filemon"),
        causes=frozenset({"unwatched"}),
    ),
    Fault(
        name="filemon killed",
        does="filemon is killed (SIGKILL) and started again some seconds later",
        kept="what it had spooled; each file's content at the next start, marked `recovered`; deletions",
        declared="`agent_stopped` from the last moment known to be whole until the catch-up has ended",
        told="systemd's restart counter; the log's `gap:` line; `watcher_gaps_total{cause=\"agent_stopped\"}`",
        inject=partial(_killed, "filemon"),
        seconds=2.0,
        causes=frozenset({"agent_stopped"}),
        restarts=frozenset({"filemon"}),
    ),
    Fault(
        name="procmon killed",
        does="procmon is killed (SIGKILL) and started again some seconds later",
        kept="what it had spooled; programs that still run at the next start, marked `already_running`",
        declared="`agent_stopped` from the last moment known to be whole until the next start",
        told="systemd's restart counter; the log's `gap:` line; `watcher_gaps_total{cause=\"agent_stopped\"}`",
        inject=partial(_killed, "procmon"),
        seconds=2.0,
        causes=frozenset({"agent_stopped"}),
        restarts=frozenset({"procmon"}),
    ),
    Fault(
        name="ring buffer overflow",
        does="procmon gets no processor (SIGSTOP) while a student runs more programs than the ring buffer holds",
        kept="programs up to the overflow and from its end on",
        declared="`probe_loss` with how many records the kernel had no room for",
        told="status: `programs lost …`; the loss counters of procmon by cause; `watcher_gaps_total`",
        inject=_flooded,
        seconds=0.5,
        causes=frozenset({"probe_loss"}),
    ),
    Fault(
        name="queue overflow",
        does="more changes than `fs.inotify.max_queued_events` while filemon gets no processor",
        kept="each file's content after the overflow, found by a scan and marked `recovered`; deletions",
        declared="`queue_overflow` until the scan has ended; `agent_stopped` for the restarts around it",
        told='`watcher_inotify_overflows_total`; the log\'s error; `watcher_gaps_total{cause="queue_overflow"}`',
        inject=_overflowed,
        seconds=0.5,
        causes=frozenset({"queue_overflow", "agent_stopped"}),
        restarts=frozenset({"filemon"}),
    ),
    Fault(
        name="watch limit",
        does="`fs.inotify.max_user_watches` is used up while students make directories",
        kept="the directories that cannot be watched are scanned every few seconds",
        declared="`unwatched`: what was overwritten between two scans",
        told="status: `… directories cannot be watched or read`; `watcher_inotify_unwatched`; the log's error",
        inject=_without_watches,
        causes=frozenset({"unwatched"}),
    ),
    Fault(
        name="backend killed",
        does="the backend is killed (SIGKILL) and started again some seconds later",
        kept=f"{_ALL}, and is stored once",
        declared=_NOTHING,
        told=_DELIVERY_TOLD,
        inject=partial(_killed, "backend"),
    ),
    _backend_fault("backend answers 500", "500", "every request is answered with 500"),
    _backend_fault("backend answers 503", "503", "every request is answered with 503, without Retry-After"),
    _backend_fault("backend answers 429", "429", "every request is answered with 429 and a Retry-After of 2 s"),
    _backend_fault("backend hangs", "hang", "requests are taken and never answered"),
    _backend_fault("request cut", "cut request", "the connection is cut in the middle of each request"),
    _backend_fault(
        "answer cut", "cut answer", "the batch is stored, the connection cut in the middle of the answer"
    ),
    _backend_fault("answer lost", "lose answer", "the batch is stored, the connection cut before the answer"),
    _backend_fault("connection refused", "refuse", "nobody listens at the backend's address"),
    _backend_fault("backend slow", "slow", "every answer takes a second and a half"),
    _backend_fault("foreign page", "foreign page", "a proxy answers 200 with a page of its own"),
    Fault(
        name="state disk full",
        does="the disk of the agents' state has no byte left",
        kept="each file's content once there is room again; programs, as many as the memory for them holds",
        declared="`saves_overtaken` for what was overwritten; `spool_unwritable` for programs that found no room",
        told="status: `PROBLEM spool cannot be written: …`; `watcher_spool_writable` is 0",
        inject=_state_full,
        causes=frozenset({"spool_unwritable"}),
    ),
    Fault(
        name="state disk read-only",
        does="the agents start on a state directory that is mounted read-only",
        kept="each file's content once it can be written, marked `recovered`",
        declared="`agent_stopped` from the stop before until they run again",
        told="the agents end with 1 and one line that says why, and systemd starts them again",
        inject=_state_read_only,
        causes=frozenset({"agent_stopped"}),
        restarts=frozenset(AGENTS),
    ),
    Fault(
        name="spool damaged",
        does="filemon is killed while events wait, and bytes of its spool are overwritten",
        kept="what can still be read of it; each file's content at the start; the file is set aside",
        declared="`spool_damaged` from the last moment known to be whole; `agent_stopped` where that can be read",
        told="the log's critical line with the name of the file set aside; `watcher_gaps_total`",
        inject=_spool_damaged,
        causes=frozenset({"spool_damaged", "agent_stopped"}),
        restarts=frozenset({"filemon"}),
    ),
    Fault(
        name="snapshot volume full",
        does="the snapshot volume has no byte left",
        kept="everything: contents wait in the spool, and events wait for their contents",
        declared=_NOTHING,
        told=_VOLUME_TOLD,
        inject=_volume_full,
    ),
    Fault(
        name="snapshot volume read-only",
        does="the snapshot volume is remounted read-only",
        kept="everything: contents wait in the spool, and events wait for their contents",
        declared=_NOTHING,
        told=_VOLUME_TOLD,
        inject=_volume_read_only,
    ),
    Fault(
        name="spool full",
        does="the snapshot volume is read-only until the spool holds as much as `WATCHER_SPOOL_BYTES` allows",
        kept="every save's time, size and SHA-256; the newest contents, and all of those who do not hold most",
        declared="`spool_full` with how many contents were dropped, for the student who held most",
        told=_VOLUME_TOLD + '; `watcher_gaps_total{cause="spool_full"}`',
        inject=_spool_full,
        seconds=0.5,
        causes=frozenset({"spool_full"}),
    ),
    Fault(
        name="snapshot volume unmounted",
        does="the snapshot volume is unmounted and mounted again",
        kept="everything: contents wait in the spool, and none is written to the directory beneath",
        declared=_NOTHING,
        told=_VOLUME_TOLD,
        inject=_volume_unmounted,
    ),
    Fault(
        name="watch root unmounted",
        does="the workspaces' mount is taken away from under filemon (umount --lazy) and mounted again",
        kept="each file's content when it is there again; that the mount is gone deletes no file",
        declared="`remounted` from the unmount until the catch-up has ended",
        told='status: that the watch root is not mounted; `watcher_gaps_total{cause="remounted"}`',
        inject=_root_unmounted,
        causes=frozenset({"remounted", "agent_stopped", "blind_mount"}),
        restarts=frozenset({"filemon"}),
    ),
    Fault(
        name="pod replaced",
        does="a pod goes and another one of the same student comes some seconds later (workspaces by pods)",
        kept="everything: a workspace is watched for ten seconds after its pod has gone",
        declared="`unwatched` from the last look at the node's mounts until the new pod's workspace was compared",
        told="the log's lines about the workspace; `watcher_workspaces`",
        inject=_pod_replaced,
        causes=frozenset({"unwatched"}),
        needs_pods=True,
    ),
    Fault(
        name="pod moves",
        does="a pod goes to another node, and comes back, while its student types (workspaces by pods)",
        kept="everything, once: what both nodes saw has the same id from both",
        declared="`unwatched` on each node from its last look at the mounts until the workspace was compared;"
        " `agent_stopped` where, as here, the other node's agent starts only then",
        told="the logs' lines about the workspace on both nodes; `watcher_workspaces`",
        inject=_pod_moved,
        causes=frozenset({"unwatched", "agent_stopped"}),
        needs_pods=True,
    ),
)
"""Each once; the order is that of the table."""


def fault(name: str) -> Fault:
    """The fault of this name; KeyError where there is none."""
    return {one.name: one for one in FAULTS}[name]
