"""Proves that filemon records: a save in a pod, through a mount of the pod's own, is at the backend and readable.

The file is saved twice. The first save shows that filemon has noticed the pod, and may be found by its scan of the
pod's workspace; only the second, of a workspace that is watched already, shows that inotify sees the pod's writes.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from watcher_agents.filemon.rules import load_rules
from watcher_agents.filemon.settings import SNAPSHOT_ROOT, WATCH_ROOT, FilemonSettings, read_filemon_settings
from watcher_agents.mounts import mount_holding
from watcher_agents.node.canary import HW_NAME, canary_of
from watcher_agents.node.canary_records import CanaryRecords
from watcher_agents.node.canary_volume import CanaryVolume, run_command
from watcher_agents.node.evidence import Evidence, Journal, Row
from watcher_agents.node.installed_agents import AGENTS
from watcher_agents.node.interruption import hold_off
from watcher_agents.node.mount_state import hangs
from watcher_agents.node.mount_table import host_mounts
from watcher_agents.node.pod import PROJECT, Pod
from watcher_agents.node.steps import StepFailed, Steps
from watcher_agents.settings import absolute_path

_FILE = "hello.c"


def verify_filemon(environ: Mapping[str, str], journal: Journal | None, within: float, steps: Steps) -> None:
    """Prove the running filemon that was started with `environ`.

    Raises what a step failed with, after everything that was made has been removed.
    """
    with steps.step("settings") as step:
        _refuse_hung_mounts(environ)
        settings = read_filemon_settings(environ)
        rules = load_rules(settings.agent.rules_file)
        if not (rules.is_assignment(HW_NAME.encode()) and rules.is_tracked_name(_FILE.encode())):
            raise StepFailed(
                f"filemon's rules do not record {HW_NAME}/{_FILE}: see assignment_pattern and extensions"
            )
        student = canary_of(settings.agent.node_name)
        step.detail = f"node {settings.agent.node_name}, workspace {student.workspace}"
    volume = CanaryVolume(student.workspace, settings.watch_root, within)
    with CanaryRecords(settings.agent, student) as records:
        evidence = Evidence(AGENTS["filemon"], student, journal, records, within, steps, volume.blindness)
        snapshots = settings.snapshot_root / student.workspace
        with _cleaned_up(steps, volume, snapshots, records):
            with steps.step("mount") as step:
                step.detail = volume.mount()
            with steps.step("leftovers") as step:
                _remove_tree(snapshots, within)
                step.detail = f"events of earlier runs removed: {records.remove()}"
            with steps.step("pod") as step:
                volume.make_workspace()
                pod = Pod(f"{student.workspace}-verify", str(volume.project), within)
                step.detail = f"{student.workspace} mounted at {volume.project}"
            with pod:
                _prove_saves(pod, evidence, volume, settings)


def _refuse_hung_mounts(environ: Mapping[str, str]) -> None:
    """Even to look whether a directory of theirs is there would hang."""
    for setting in (WATCH_ROOT, SNAPSHOT_ROOT):
        path = str(absolute_path(environ, *setting))
        if hangs(path):
            mount = mount_holding(path, host_mounts())
            source = f" {mount.source}" if mount else ""
            raise StepFailed(f"{path} hangs: its server{source} does not answer")


def _prove_saves(pod: Pod, evidence: Evidence, volume: CanaryVolume, settings: FilemonSettings) -> None:
    steps = evidence.steps
    nonce = secrets.token_hex(8)
    _save(pod, steps, "first save", _content("first", nonce))
    evidence.at_backend("snapshot", _has(_content("first", nonce)), "first save", None)
    content = _content("second", nonce)
    _save(pod, steps, "save", content)
    event_id = evidence.in_journal(
        lambda line: line.startswith("snapshot created:") and line.endswith(f" size={len(content)}"), "save"
    )
    row = evidence.at_backend("snapshot", _has(content), "save", event_id)
    with steps.step("seen by inotify"):
        if row["recovered"]:
            raise StepFailed(
                "filemon found the save by a scan, inotify did not tell:"
                f" {volume.blindness() or 'look at watcher-agent status'}"
            )
    with steps.step("content over REST"):
        if evidence.records.content(row["id"]) != content:
            raise StepFailed(f"GET /api/v1/events/{row['id']}/content is not what was saved")
    with steps.step("content on the snapshot volume") as step:
        path = settings.snapshot_root / row["snapshot_path"]
        if run_command(("cat", "--", str(path)), volume.seconds) != content:
            raise StepFailed(f"{path} is not what was saved")
        step.detail = str(path)


def _content(which: str, nonce: str) -> bytes:
    return f"int main(void) {{ return 7; }} /* {which} {nonce} */\n".encode()


def _has(content: bytes) -> Callable[[Row], bool]:
    digest = hashlib.sha256(content).hexdigest()
    return lambda row: row["sha256"] == digest


def _save(pod: Pod, steps: Steps, name: str, content: bytes) -> None:
    with steps.step(name) as step:
        done = pod.run(["sh", "-c", f"cat > {_FILE}"], f"{PROJECT}/{HW_NAME}", content)
        if done.returncode != 0:
            raise StepFailed(f"the student cannot write {HW_NAME}/{_FILE}: {done.stdout.decode().strip()}")
        step.detail = f"{HW_NAME}/{_FILE}, {len(content)} bytes"


@contextmanager
def _cleaned_up(steps: Steps, volume: CanaryVolume, snapshots: Path, records: CanaryRecords) -> Iterator[None]:
    """Whatever becomes of the block, what the canary made is removed: each thing, even if another cannot be."""
    try:
        yield
    finally:
        hold_off()
        with steps.step("cleanup"), ExitStack() as last_first:
            last_first.callback(records.remove)
            last_first.callback(_remove_tree, snapshots, volume.seconds)
            last_first.callback(volume.unmount)
            last_first.callback(volume.remove_workspace)


def _remove_tree(directory: Path, seconds: float) -> None:
    run_command(("rm", "-rf", "--", str(directory)), seconds)
