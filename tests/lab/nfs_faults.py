"""The faults that take a real NFS server, each brought about by one test on the machine that has one."""

from typing import NamedTuple

TESTS = "tests/integration/nfs/test_real_nfs.py"

_ALL = "everything; each file's content at the end is the newest that is stored"


class NfsFault(NamedTuple):
    """A row of docs/faults.md; `test` is the function in TESTS."""

    name: str
    does: str
    kept: str
    declared: str
    told: str
    test: str


NFS_FAULTS = (
    NfsFault(
        "NFS server does not answer",
        "its packets are dropped for 40 s; in `make test-long` also for two minutes, and the server stopped",
        f"{_ALL}: students' saves wait in the kernel as the agents do",
        "nothing: who waits saves nothing",
        "`watcher-agent status`: the mounts hang; after 60 s the status line; `/metrics` answers",
        "test_a_server_that_does_not_answer_is_waited_for",
    ),
    NfsFault(
        "NFS server restarted",
        "the server is restarted while a student types",
        _ALL,
        "nothing",
        "nothing: it is over before a status line is made anew",
        "test_a_restart_of_the_server_loses_no_save",
    ),
    NfsFault(
        "NFS mount taken away",
        "the watch root is unmounted (umount --lazy) and mounted again",
        "each file's content when it is there again; no file is taken for deleted",
        "`remounted` from the unmount until the catch-up has ended",
        "status: `PROBLEM the watch root is not there`; the log's error",
        "test_filemon_goes_on_where_its_mount_is_unmounted_and_mounted_again",
    ),
    NfsFault(
        "NFS export made anew",
        "the export is deleted and restored: every handle is stale until it is mounted again",
        "each file's content; a file that came back as it was is no new version",
        "`remounted` until the catch-up has ended",
        "status: directories that cannot be read, then `the watch root is not there`",
        "test_filemon_goes_on_where_the_export_was_deleted_and_made_anew",
    ),
    NfsFault(
        "blind mount",
        "a pod's mount has another `rsize`, so no superblock with filemon's: inotify sees nothing of it",
        "what each scan, about every 30 s, finds, marked `recovered`",
        "`blind_mount` for that student, with how much was recovered",
        "status and log: the workspace and the option that differs; `watcher_blind_workspaces`",
        "test_work_in_a_blind_mount_is_told_of_scanned_and_declared",
    ),
    NfsFault(
        "clock set back",
        "the node's and the server's clock goes back by an hour, and by seconds, while a student types",
        f"{_ALL}; boot id and sequence give the order in which was saved",
        "nothing",
        "nothing: times are those of the clock",
        "test_a_clock_that_is_set_back_neither_mixes_nor_loses_versions",
    ),
    NfsFault(
        "pod moves on NFS",
        "a student's pod goes from one client of the server to another and back while the student types",
        "everything, once: what both nodes saw has the same id from both",
        "`unwatched`, where something was saved before the new node had looked",
        "the log's lines about the workspace; `watcher_workspaces`",
        "test_a_pod_that_moves_while_its_student_saves_loses_nothing_and_stores_nothing_twice",
    ),
)
