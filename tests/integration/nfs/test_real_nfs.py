"""filemon on real NFS, as systemd runs it: whatever mounts, servers, clocks and pods do, no save is lost."""

import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from integration.nfs.installation import CODES_UNIT, MOUNTS, PORTS, install, own_address
from integration.nfs.installed_volume import installed_volume, release_root
from integration.nfs.second_node import second_node
from integration.nfs.site import NfsSite, counted, wait_gently
from integration.nfs.typist import FILES, typing
from lab.machine import Machine
from lab.machine_pods import CSI_OPTIONS
from lab.pod import boot_command
from watcher_agents.heartbeat import SILENT_SECONDS

# An emulated machine, and a server that others wait for.
pytestmark = pytest.mark.timeout(600)

CODES = "/watcher/codes"
_EXPORT = MOUNTS[CODES]
_STATUS = f"{release_root('agents')}/current/venv/bin/watcher-agent status --json"
_STOP = ("systemctl stop nfs-server", "systemctl start nfs-server")
_DROP = tuple(f"iptables --{what} INPUT --protocol tcp --dport 2049 --jump DROP" for what in ("insert", "delete"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, with the releases of this checkout on its second disk."""
    with Machine(installed_volume(tmp_path_factory.mktemp("installed")), PORTS) as running:
        yield running


@pytest.fixture(scope="module")
def site(machine: Machine) -> Iterator[NfsSite]:
    """Watcher runs on it."""
    address = own_address(machine)
    install(machine, address)
    with httpx.Client(trust_env=False, timeout=20.0) as client:
        yield NfsSite(machine, address, client)


def test_a_save_through_a_pods_mount_is_seen_as_it_happens(site: NfsSite) -> None:
    """The node's mount and the pod's share one superblock, so inotify tells of what the student does."""
    with site.pod("os-1-202700001") as pod:
        assert pod.device() == site.machine.ssh(f"stat --format=%d {CODES}").stdout.strip()
        wait_gently(lambda: site.metric("watcher_workspaces") == 1, "the pod to be noticed")
        site.save(pod, "first.c", "/* the assignment's directory is new */\n")
        version = site.save(pod, "first.c", "int main(void) { return 0; }\n")
        assert version["change"] == "modified"
        assert not version["recovered"]
        assert site.metric("watcher_blind_workspaces") == 0


def test_a_build_and_a_run_on_nfs_are_recorded_without_kernel_headers(site: NfsSite) -> None:
    """A distribution's kernel takes procmon's program as it is, which knows the directory on NFS."""
    workspace = "os-1-202700009"
    assert site.machine.ssh("ls -d /lib/modules/*/build /usr/src/linux-headers*", check=False).stdout == ""
    with site.pod(workspace) as pod:
        pod.save("hw1/answer.c", "int main(void) { return 42; }\n")
        script = "cd hw1 && gcc answer.c -o answer; ./answer; true"
        site.root(shlex.join(boot_command(f"jcode-{workspace}-lab", Path(pod.project), script)))
        (build,) = wait_gently(lambda: site.events(workspace, "build"), "the build to be recorded")
        (run,) = wait_gently(lambda: site.events(workspace, "run"), "the run to be recorded")
    assert (build["process_type"], build["exit_code"], build["hw_name"]) == ("gcc", 0, "hw1")
    assert (run["process_type"], run["exit_code"], run["hw_name"]) == ("binary", 42, "hw1")


def test_work_in_a_blind_mount_is_told_of_scanned_and_declared(site: NfsSite) -> None:
    """A pod with a superblock of its own: metric, status and a log line tell; its work comes all the same."""
    workspace = "os-1-202700002"
    with site.pod(workspace, f"{CSI_OPTIONS},rsize=65536") as blind:
        assert blind.device() != site.machine.ssh(f"stat --format=%d {CODES}").stdout.strip()
        wait_gently(lambda: site.metric("watcher_blind_workspaces") == 1, "the metric to count it")
        told = re.compile(rf"PROBLEM .*\bblind to 1 workspaces: .*{workspace}: .*\brsize=65536\b")
        wait_gently(lambda: told.search(site.status()), "status to tell of the blind mount")
        # The look at the pod's coming is over by now: this is for a later one.
        assert site.save(blind, "unseen.c", "int unseen;\n")["recovered"]
        journal = site.machine.journal("watcher-filemon").splitlines()
        assert len([line for line in journal if "blind to 1 workspaces" in line]) == 1
    wait_gently(lambda: site.metric("watcher_blind_workspaces") == 0, "the metric to forget it")
    site.wait_until_well()
    student = int(workspace.rpartition("-")[2])
    gaps = wait_gently(
        lambda: [gap for gap in site.gaps("blind_mount") if gap["student_id"] == student],
        "the blind time to be declared",
    )
    assert {gap["events_lost"] for gap in gaps} == {None}
    assert sum(gap["files_recovered"] for gap in gaps) == 1
    # No student but this one is said to have a gap.
    assert {gap["student_id"] for gap in site.gaps("blind_mount")} == {student}


@pytest.mark.parametrize(
    ("away", "back", "seconds"),
    [
        pytest.param(*_DROP, 40, id="its packets are dropped"),
        pytest.param(*_DROP, 120, id="its packets are dropped for two minutes", marks=pytest.mark.long),
        pytest.param(*_STOP, 120, id="it is stopped for two minutes", marks=pytest.mark.long),
    ],
)
def test_a_server_that_does_not_answer_is_waited_for(site: NfsSite, away: str, back: str, seconds: int) -> None:
    """The agents stay alive to systemd, say what is wrong, answer; what was saved meanwhile comes afterwards."""
    workspace = "os-1-202700003"
    with site.pod(workspace) as pod:
        site.save(pod, "before.c", f"int before = {seconds};\n")
        before = site.lives()
        with typing(site, pod.project) as typist:
            typist.wait_for_more(2)
            end = time.monotonic() + seconds
            with _outage(site, away, back):
                # What filemon does now it does on the mount: the student's saves wait, and raise no events.
                site.root("systemctl kill --signal=HUP --kill-whom=main watcher-filemon")
                told = json.loads(site.root(f"timeout 60 {_STATUS}", check=False))
                assert {mount["state"] for mount in told["mounts"].values()} == {"hung"}
                if seconds > SILENT_SECONDS:
                    wait_gently(lambda: "a file system that does not answer" in site.status(), "filemon to say so")
                while time.monotonic() < end:
                    assert site.metric("watcher_ready") == 1
                    assert site.lives() == before
            typist.wait_for_more(3)
        assert site.lives() == before
        site.wait_for_all(workspace, typist.contents())
        site.wait_until_equal(workspace)
        site.wait_until_well()
        assert site.lives() == before


@contextmanager
def _outage(site: NfsSite, away: str, back: str) -> Iterator[None]:
    site.root(away)
    try:
        yield
    finally:
        site.root(back)


def test_a_restart_of_the_server_loses_no_save(site: NfsSite) -> None:
    """While it is away and until its clients have come back, writers wait; the agents neither fail nor restart."""
    workspace = "os-1-202700004"
    with site.pod(workspace) as pod:
        before = site.lives()
        with typing(site, pod.project) as typist:
            typist.wait_for_more(2)
            site.root("systemctl restart nfs-server")
            typist.wait_for_more(5)
        site.wait_for_all(workspace, typist.contents())
        site.wait_until_equal(workspace)
        assert site.lives() == before


def _unmount(site: NfsSite) -> None:
    """As an operator does by hand, who may forget that filemon uses it."""
    site.root(f"umount --lazy {CODES}\nwhile systemctl --quiet is-active {CODES_UNIT}; do sleep 0.2; done")


def test_filemon_goes_on_where_its_mount_is_unmounted_and_mounted_again(site: NfsSite) -> None:
    """In the same process: it finds what was saved meanwhile, sees what is saved then, and declares the time."""
    workspace = "os-1-202700005"
    with site.pod(workspace) as pod:
        site.save(pod, "before.c", "int before;\n")
        before, gaps = site.lives(), len(site.gaps("remounted"))
        _unmount(site)
        wait_gently(lambda: site.status().startswith("PROBLEM"), "status to tell of the missing mount")
        pod.save("hw1/meanwhile.c", "int meanwhile;\n")
        site.root(f"systemctl start {CODES_UNIT}")
        site.wait_for_version(workspace, "meanwhile.c", "int meanwhile;\n")
        site.wait_until_well()
        assert not site.save(pod, "after.c", "int after;\n")["recovered"]
        wait_gently(lambda: len(site.gaps("remounted")) > gaps, "the time to be declared")
        site.wait_until_equal(workspace)
        assert site.lives() == before


def test_filemon_goes_on_where_the_export_was_deleted_and_made_anew(site: NfsSite) -> None:
    """As after a volume's restore: every handle is stale until pods and node mount it again."""
    workspace = "os-1-202700006"
    with site.pod(workspace) as pod:
        site.save(pod, "kept.c", "int kept;\n")
        site.save(pod, "changed.c", "int version = 1;\n")
        before, gaps = site.lives(), len(site.gaps("remounted"))
        # All inodes are others: the server no longer knows those that its clients hold.
        site.root(
            f"exportfs -u '*:{_EXPORT}'\ncp --archive {_EXPORT} {_EXPORT}.new\nrm -r {_EXPORT}\n"
            f"mv {_EXPORT}.new {_EXPORT}\nexportfs -ra"
        )
        assert "Stale file handle" in site.root(f"ls {pod.project}/hw1 2>&1", check=False)
    _unmount(site)
    site.root(f"systemctl start {CODES_UNIT}")
    with site.pod(workspace) as pod:
        site.save(pod, "changed.c", "int version = 2;\n")
        site.save(pod, "after.c", "int after;\n")
        site.wait_until_well()
        wait_gently(lambda: len(site.gaps("remounted")) > gaps, "the time to be declared")
        site.wait_until_equal(workspace)
        # A file that came back as it was is no new version, and none was taken for deleted.
        assert [each["change"] for each in site.versions(workspace) if each["filename"] == "kept.c"] == ["created"]
        assert site.lives() == before


def test_a_clock_that_is_set_back_neither_mixes_nor_loses_versions(site: NfsSite) -> None:
    """An hour back, and some seconds so that names come again: the sequence is the order in which was saved."""
    workspace = "os-1-202700007"
    try:
        with site.pod(workspace) as pod, typing(site, pod.project) as typist:
            for seconds in (3600, 4, 4):
                typist.wait_for_more(FILES)
                site.root(f"date --set=@$(($(date +%s) - {seconds}))")
            typist.wait_for_more(FILES)
    finally:
        site.root("date --set=@$(($(date +%s) + 3608))")
    site.wait_for_all(workspace, typist.contents())
    versions = site.versions(workspace)
    assert counted(versions) == typist.contents()
    assert len({version["snapshot_path"] for version in versions}) == len(versions)
    by_file: dict[str, list[int]] = {}
    for version in versions:
        number = re.fullmatch(r"int version = (\d+);\n", site.content(version))
        assert number is not None
        by_file.setdefault(version["filename"], []).append(int(number[1]))
    assert {name: sorted(numbers) for name, numbers in by_file.items()} == by_file


def test_a_pod_that_moves_while_its_student_saves_loses_nothing_and_stores_nothing_twice(site: NfsSite) -> None:
    """From one node to another and back, with an agent on each; each version is one row, whoever found it."""
    workspace = "os-1-202700008"
    with second_node(site) as other:
        with site.pod(workspace) as pod, typing(site, pod.project) as typist:
            typist.wait_for_more(3)
            moved = other.start_pod(workspace)
            typist.move(other.seen_from_the_machine(moved.project))
            typist.wait_for_more(1)
            with site.pod(workspace) as back:
                typist.wait_for_more(8)
                typist.move(back.project)
                typist.wait_for_more(FILES)
                typist.stop()
                site.wait_for_all(workspace, typist.contents())
        assert counted(site.versions(workspace)) == typist.contents()
        # Each agent has a sequence of its own.
        assert site.recorded_files(workspace, last_by="occurred_at") == site.files(workspace)
