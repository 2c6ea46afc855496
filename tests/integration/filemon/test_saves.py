"""Every save on a real file system becomes one version with its content, and nothing else does."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace


def test_a_save_is_a_snapshot_at_the_guides_path_and_a_row_with_its_content(
    stack: Stack, workspace: RecordedWorkspace
) -> None:
    (workspace.assignment / "hello.c").write_text("int main;")
    (event,) = workspace.wait_for_events(1)
    assert (event["change"], event["size"], event["filename"], event["hw_name"]) == (
        "created",
        9,
        "hello.c",
        "hw1",
    )
    stamp = event["occurred_at"][:19].replace("-", "").replace(":", "").replace("T", "_")
    assert event["snapshot_path"] == f"{workspace.name}/hw1/hello.c/{stamp}.c"
    assert (stack.snapshots / event["snapshot_path"]).read_text() == "int main;"
    assert stack.content(event["id"]) == b"int main;"


def test_saves_within_one_second_are_all_kept(stack: Stack, workspace: RecordedWorkspace) -> None:
    # Begin with a fresh second so that the saves share it.
    time.sleep(1.0 - time.time() % 1.0)
    contents = [f"version {number}".encode() for number in range(5)]
    for content in contents:
        (workspace.assignment / "a.c").write_bytes(content)
        time.sleep(0.1)
    events = workspace.wait_for_events(5)
    assert len({event["occurred_at"][:19] for event in events}) == 1
    assert [stack.content(event["id"]) for event in events] == contents
    assert len({event["snapshot_path"] for event in events}) == 5


def test_a_rename_over_a_file_is_one_new_version_and_no_deletion(workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a.c").write_text("one")
    workspace.wait_for_events(1)
    (workspace.assignment / "a.c.tmp").write_text("two")
    (workspace.assignment / "a.c.tmp").rename(workspace.assignment / "a.c")
    workspace.wait_for_content(Path("a.c"), b"two")
    # A deletion would come after its grace.
    time.sleep(1.0)
    assert workspace.changes() == [("a.c", "created"), ("a.c", "modified")]


def test_a_rename_from_outside_the_watched_tree_is_seen(stack: Stack, workspace: RecordedWorkspace) -> None:
    outside = stack.directory / "codes" / "elsewhere.c"
    outside.write_text("moved in")
    outside.rename(workspace.assignment / "a.c")
    workspace.wait_for_content(Path("a.c"), b"moved in")


def test_real_editors_saves_are_versions_and_their_temporary_files_are_not(workspace: RecordedWorkspace) -> None:
    file = workspace.assignment / "a.c"
    for number, backup in enumerate(["auto", "yes", "no"]):
        insert = f"1put! ='{number}'" if file.exists() else f"put! ='{number}'"
        command = ["vim", "-N", "-u", "NONE", "-es", "-c", f"set backup backupcopy={backup}"]
        subprocess.run([*command, "-c", insert, "-c", "wq", file], check=True)
        workspace.wait_for_events(number + 1)
    time.sleep(1.0)
    assert workspace.changes() == [("a.c", "created"), ("a.c", "modified"), ("a.c", "modified")]
    workspace.wait_for_content(Path("a.c"), file.read_bytes())


def test_a_deletion_is_an_event_and_an_empty_snapshot(stack: Stack, workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a.c").write_text("x")
    workspace.wait_for_events(1)
    (workspace.assignment / "a.c").unlink()
    deletion = workspace.wait_for_events(2)[1]
    assert (deletion["change"], deletion["size"], deletion["sha256"]) == ("deleted", 0, None)
    assert (stack.snapshots / deletion["snapshot_path"]).read_bytes() == b""


def test_files_made_while_their_directory_is_new_are_found(workspace: RecordedWorkspace) -> None:
    for number in range(20):
        script = "mkdir -p d$0/b/c; echo $0 > d$0/b/c/x.c"
        subprocess.run(["sh", "-c", script, str(number)], cwd=workspace.assignment, check=True)
    events = workspace.wait_for_events(20)
    assert {event["filename"] for event in events} == {f"d{number}@b@c@x.c" for number in range(20)}


def test_a_directory_renamed_takes_its_files_along(workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "old").mkdir()
    (workspace.assignment / "old" / "a.c").write_text("x")
    workspace.wait_for_events(1)
    (workspace.assignment / "old").rename(workspace.assignment / "new")
    workspace.wait_for_events(3)
    (workspace.assignment / "new" / "a.c").write_text("y")
    workspace.wait_for_events(4)
    assert sorted(workspace.changes()) == [
        ("new@a.c", "created"),
        ("new@a.c", "modified"),
        ("old@a.c", "created"),
        ("old@a.c", "deleted"),
    ]


def test_a_whole_directory_deleted_is_a_deletion_of_each_file(workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "d").mkdir()
    for name in ("a.c", "b.c"):
        (workspace.assignment / "d" / name).write_text(name)
    workspace.wait_for_events(2)
    shutil.rmtree(workspace.assignment / "d")
    workspace.wait_for_events(4)
    assert sorted(workspace.changes())[1::2] == [("d@a.c", "deleted"), ("d@b.c", "deleted")]


def test_the_same_content_saved_again_is_only_counted(stack: Stack, workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a.c").write_text("same")
    workspace.wait_for_events(1)
    before = stack.metric("filemon", "watcher_unchanged_saves_total")
    (workspace.assignment / "a.c").write_text("same")
    wait_for(lambda: stack.metric("filemon", "watcher_unchanged_saves_total") > before, "the save to be counted")
    assert workspace.changes() == [("a.c", "created")]


def test_a_file_that_stays_open_is_captured_when_it_is_quiet(workspace: RecordedWorkspace) -> None:
    with (workspace.assignment / "a.py").open("wb", buffering=0) as file:
        file.write(b"print(1)\n")
        workspace.wait_for_content(Path("a.py"), b"print(1)\n")
        file.write(b"print(2)\n")
        workspace.wait_for_content(Path("a.py"), b"print(1)\nprint(2)\n")


def test_a_hard_link_is_a_new_file(workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a.c").write_text("x")
    os.link(workspace.assignment / "a.c", workspace.assignment / "b.c")
    workspace.wait_for_content(Path("b.c"), b"x")


def test_names_that_are_hard_to_write_keep_their_files_apart(stack: Stack, workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a").mkdir()
    names = [
        "a/b.c",
        "a@b.c",
        "new\nline.c",
        "\udcff.c",
        "과제 1.c",
        "%40.c",
        "x" * 253 + ".c",
        "-rf.c",
        "'\"$(x).c",
    ]
    for name in names:
        (workspace.assignment / name).write_bytes(os.fsencode(name))
    events = workspace.wait_for_events(len(names))
    assert {stack.content(event["id"]) for event in events} == {os.fsencode(name) for name in names}
    assert len({event["filename"] for event in events}) == len(names)


def test_a_students_link_to_a_secret_is_never_copied(stack: Stack, workspace: RecordedWorkspace) -> None:
    (stack.directory / "secret.c").write_text("secret")
    (stack.directory / "secrets").mkdir()
    (stack.directory / "secrets" / "a.c").write_text("secret")
    (workspace.assignment / "shadow.c").symlink_to("/etc/shadow")
    (workspace.assignment / "link.c").symlink_to(stack.directory / "secret.c")
    (workspace.assignment / "directory").symlink_to(stack.directory / "secrets")
    os.mkfifo(workspace.assignment / "fifo.c")
    (workspace.assignment / "last.c").write_text("own")
    workspace.wait_for_content(Path("last.c"), b"own")
    # Longer than the quiet period, after which a created name is looked at.
    time.sleep(3.0)
    assert workspace.changes() == [("last.c", "created")]
    files = [path for path in (stack.snapshots / workspace.name).rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["own"]


def test_a_file_over_the_limit_is_recorded_without_its_content(workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "big.ipynb").write_bytes(b"x" * 70_000)
    (event,) = workspace.wait_for_events(1)
    assert (event["size"], event["content_omitted"], event["snapshot_path"]) == (70_000, "too_large", None)
    (workspace.assignment / "big.ipynb").write_bytes(b"x" * 100)
    assert workspace.wait_for_events(2)[1]["content_omitted"] is None


def test_directories_that_hold_no_sources_get_no_watch(stack: Stack, workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a.c").write_text("x")
    workspace.wait_for_events(1)
    before = stack.metric("filemon", "watcher_inotify_watches")
    for name in ("node_modules", ".git", "venv", "__pycache__"):
        for number in range(10):
            (workspace.assignment / name / str(number)).mkdir(parents=True)
            (workspace.assignment / name / str(number) / "a.py").touch()
    (workspace.assignment / "src").mkdir()
    (workspace.assignment / "src" / "a.py").write_text("x")
    workspace.wait_for_content(Path("src/a.py"), b"x")
    assert stack.metric("filemon", "watcher_inotify_watches") == before + 1
    assert workspace.changes() == [("a.c", "created"), ("src@a.py", "created")]


def test_a_workspace_that_vanishes_as_a_whole_deletes_no_files(stack: Stack, workspace: RecordedWorkspace) -> None:
    (workspace.assignment / "a.c").write_text("x")
    workspace.wait_for_events(1)
    workspace.directory.rename(stack.directory / f"archived-{workspace.name}")
    time.sleep(1.5)
    assert workspace.changes() == [("a.c", "created")]
