"""A program is its pod's, whatever hostname a student gives it. All of it done for real, as the student."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from integration.procmon.student_pod import HOSTNAME, HW1, WORKSPACE, Pod, Recorder, pids_of
from lab.waiting import wait_for
from watcher_agents.identity import Student, student_of_workspace
from watcher_agents.procmon import pod_workspace
from watcher_agents.procmon.clock import TICK_NS
from watcher_agents.procmon.pod_workspace import PodWorkspaces, ProcessGone
from watcher_agents.procmon.running import start_boottime

OWN = student_of_workspace(WORKSPACE)
VICTIM_WORKSPACE = "os-1-202099999"
VICTIM = student_of_workspace(VICTIM_WORKSPACE)
VICTIM_HOSTNAME = f"jcode-{VICTIM_WORKSPACE}-866cbc896c-aaaaa"


def as_somebody_else(script: str, hostname: str = VICTIM_HOSTNAME, more: str = "") -> str:
    """Shell commands that run a script under another hostname, as any user may in a user namespace."""
    return f"unshare --user --map-root-user --uts {more} sh -c 'hostname {hostname}\n{script}'"


def test_program_under_another_students_name_is_the_pods(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """Recorded for whose pod it is, with the name that it claimed, and flagged."""
    shutil.copy(testers / "exit_with", pod.hw1 / "forged")
    (pod.hw1 / "forged.c").write_text("int main(void) { return 0; }\n")
    build = f"gcc -c -o /dev/null {HW1}/forged.c"
    assert pod.run_as_student(as_somebody_else(f"{build}; ./forged 3")) == 3
    run, classification = recorder.one("forged")
    assert (run.student, run.hostname, run.hostname_forged) == (OWN, VICTIM_HOSTNAME, True)
    assert (classification.hw_name, run.exit_code) == ("hw1", 3)
    (build_run,) = [run for run, kind in recorder.reported if kind.type == "build"]
    assert (build_run.student, build_run.hostname_forged) == (OWN, True)


def test_program_under_its_own_name_is_not_flagged(pod: Pod, testers: Path, recorder: Recorder) -> None:
    """The pod's name is the pod's."""
    shutil.copy(testers / "exit_with", pod.hw1 / "honest")
    pod.run_as_student("./honest")
    run, _ = recorder.one("honest")
    assert (run.student, run.hostname, run.hostname_forged) == (OWN, HOSTNAME, False)


@pytest.mark.parametrize("hostname", ["database-0", "jcode-", "''", r"$'\377\n\e[2J'", "x" * 64])
def test_no_hostname_hides_a_program(pod: Pod, testers: Path, recorder: Recorder, hostname: str) -> None:
    """A name that is no student's, or none at all, does not keep a program from being recorded."""
    shutil.copy(testers / "exit_with", pod.hw1 / "hidden")
    shutil.copy(testers / "named", pod.hw1 / "named")
    # In a process of its own: one that had been followed before it got the name would be followed on.
    forked = "/bin/sh -c './hidden 4; exit $?'"
    script = f"unshare --user --map-root-user --uts ./named {hostname} {forked}"
    assert pod.run_as_student(script) == 4
    run, _ = recorder.one("hidden")
    assert (run.student, run.hostname_forged, run.exit_code) == (OWN, True, 4)


@pytest.mark.parametrize(
    "workspace",
    ["", f'mkdir -p "$r/workspace/{VICTIM_WORKSPACE}"; mount --bind "$r/workspace/{VICTIM_WORKSPACE}" "$r/mnt"'],
    ids=["shows none", "shows the victim's"],
)
def test_mounts_of_the_students_own_making_prove_nothing(pod: Pod, recorder: Recorder, workspace: str) -> None:
    """In a mount namespace and a root of the student's own, in which the pod's workspace cannot be seen."""
    script = f"""
        set -e
        r=$(mktemp -d)
        mount -t tmpfs tmpfs "$r"
        mkdir -p "$r/usr" "$r/mnt" "$r/tmp" "$r/{HW1}"
        mount --rbind /usr "$r/usr"
        for directory in bin lib lib64; do ln -s usr/$directory "$r/$directory"; done
        {workspace}
        echo "int main(void) {{ return 0; }}" > "$r/{HW1}/framed.c"
        /usr/sbin/chroot "$r" sh -c "cd {HW1}; gcc -c -o framed.o framed.c; true"
        rm -r "$r/tmp"
    """
    assert pod.run_as_student(as_somebody_else(script, more="--mount")) == 0
    run, classification = recorder.one(Path("/usr/bin/gcc").resolve().name)
    assert classification.target_path == f"{HW1}/framed.c"
    assert (run.student, run.hostname, run.hostname_forged) == (OWN, VICTIM_HOSTNAME, True)


def test_pod_that_bears_another_students_name_is_the_workspaces(
    directory: Path, testers: Path, recorder: Recorder
) -> None:
    """Where the pod itself is called so, the workspace that it has mounted decides."""
    pod = Pod(directory, hostname=VICTIM_HOSTNAME)
    shutil.copy(testers / "exit_with", pod.hw1 / "misnamed")
    pod.run_as_student("./misnamed 5")
    run, _ = recorder.one("misnamed")
    assert (run.student, run.hostname, run.hostname_forged) == (OWN, VICTIM_HOSTNAME, True)


def test_pod_in_the_nodes_pid_namespace_is_looked_at_too(
    directory: Path, testers: Path, recorder: Recorder
) -> None:
    """Where the pod has no first process of its own, the process and its ancestors show whose it is."""
    pod = Pod(directory, own_pids=False)
    shutil.copy(testers / "exit_with", pod.hw1 / "outer")
    # Long enough to be looked at: with nothing else to go by, the dead are believed.
    script = as_somebody_else("./outer 6; exec sleep 1", more="--mount")
    pod.run_as_student(f"{script}; {script}")
    wait_for(lambda: len(recorder.runs("outer")) == 2, "both to be told")
    assert [(run.student, run.hostname, run.hostname_forged) for run, _ in recorder.runs("outer")] == [
        (OWN, VICTIM_HOSTNAME, True)
    ] * 2


def test_forged_program_older_than_the_probe_is_the_pods(pod: Pod, testers: Path) -> None:
    """What ran before procmon did is looked at in the same way."""
    shutil.copy(testers / "die_by", pod.hw1 / "older")
    process = pod.start_as_student(as_somebody_else("exec ./older 18"))
    recorder = Recorder()
    try:
        wait_for(lambda: pids_of(pod.hw1 / "older"), "the older program to run")
        (pid,) = pids_of(pod.hw1 / "older")
        capture = recorder.capture()
        with capture:
            wait_for(lambda: capture.counters().already_running > 0, "the older program to be found")
            os.kill(pid, signal.SIGTERM)
            run, _ = recorder.one("older")
    finally:
        process.kill()
        process.wait()
    assert (run.already_running, run.student, run.hostname, run.hostname_forged) == (
        True,
        OWN,
        VICTIM_HOSTNAME,
        True,
    )
    assert capture.counters().forged_hostnames > 0


def test_what_a_namespace_showed_is_remembered(pod: Pod, testers: Path) -> None:
    """What bears out the hostname is not asked for again, what does not is; the dead are remembered."""
    shutil.copy(testers / "die_by", pod.hw1 / "waiting")
    process = pod.start_as_student("exec ./waiting 18")
    looks = []
    now = [0.0]

    class Counted(PodWorkspaces):
        def look(self, process: tuple[int, int], init: tuple[int, int] = (0, 0)) -> Student | None:
            looks.append(process)
            return super().look(process, init)

    workspaces = Counted(clock=lambda: now[0])
    try:
        wait_for(lambda: pids_of(pod.hw1 / "waiting"), "the program to run")
        (pid,) = pids_of(pod.hw1 / "waiting")
        start = start_boottime(pid)
        assert start is not None
        living = (pid, start)
        for claimed, looked in ((OWN, 1), (OWN, 1), (VICTIM, 2), (None, 3)):
            assert workspaces.shown(7, living, (0, 0), claimed) == OWN
            assert len(looks) == looked
        now[0] = 1.0
        for claimed, looked in ((VICTIM, 4), (VICTIM, 4), (None, 4)):
            assert workspaces.shown(7, living, (0, 0), claimed) == OWN
            assert len(looks) == looked
        # A pid used again is another process.
        with pytest.raises(ProcessGone):
            workspaces.shown(8, (pid, start + 10 * TICK_NS), (0, 0), VICTIM)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not pids_of(pod.hw1 / "waiting"), "the program to end")
    now[0] = 3.0
    assert workspaces.shown(7, living, (0, 0), VICTIM) == OWN
    with pytest.raises(ProcessGone):
        workspaces.shown(9, living, (0, 0), VICTIM)


def test_memory_of_namespaces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes namespaces without end drives out the longest unused, and no more."""

    class Same(PodWorkspaces):
        def look(self, process: tuple[int, int], init: tuple[int, int] = (0, 0)) -> Student | None:
            return OWN

    monkeypatch.setattr(pod_workspace, "_NAMESPACES", 3)
    workspaces = Same()
    for namespace in (1, 2, 3, 1, 4, 5):
        workspaces.shown(namespace, (1, 1), (0, 0), OWN)
    assert list(workspaces._answers) == [1, 4, 5]
