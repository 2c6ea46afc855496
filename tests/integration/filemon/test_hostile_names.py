"""What a student names does not lead filemon, which runs as root, to what is not the student's."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lab.hostile_student import HostileStudent, files_holding, places_of, saves_are_recorded, spool_is_empty
from lab.stack import Stack
from lab.waiting import wait_for
from lab.workspace import RecordedWorkspace

SECRET = b"of-another-student-or-of-root "
RULES = "looks_per_second: 100000\nbytes_per_second: 1073741824\nquiet_seconds: 0.2\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    rules = tmp_path_factory.mktemp("rules") / "filemon.yml"
    rules.write_text(RULES)
    with Stack(WATCHER_RULES_FILE=str(rules)) as running:
        running.start("backend", "filemon")
        yield running


@pytest.fixture
def student(stack: Stack) -> HostileStudent:
    return HostileStudent(stack)


@pytest.fixture
def other(stack: Stack) -> RecordedWorkspace:
    return RecordedWorkspace(stack)


@pytest.fixture
def secrets(stack: Stack, request: pytest.FixtureRequest) -> Path:
    """A directory outside the export that only root can read, with an assignment's worth of files."""
    directory = stack.directory / f"secrets-{request.node.name}"
    (directory / "hw1").mkdir(parents=True)
    for name in ("a.c", "b.c", "hw1/a.c"):
        (directory / name).write_bytes(SECRET * 100)
        (directory / name).chmod(0o600)
    return directory


@contextmanager
def bound(source: Path, point: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", source, point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", point], check=True)


def test_links_at_every_level_lead_nowhere(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace, secrets: Path
) -> None:
    (stack.workspaces / "os-1-999").symlink_to(secrets)  # no student can, but a careless site might
    foreign = other.assignment / "foreign.c"
    foreign.write_bytes(b"the other student's own")
    student.run(f"""
os.symlink({str(secrets / "a.c")!r}, "file.c")
os.symlink("/etc/shadow", "shadow.c")
os.symlink({str(foreign)!r}, "other.c")
os.symlink("../../{other.name}/hw1/foreign.c", "relative.c")
os.symlink({str(secrets)!r}, "directory")
os.symlink("../../{other.name}/hw1", "others")
os.symlink({str(secrets)!r}, "../hw2")
os.symlink("../{other.name}/hw1", "../hw3")
os.symlink("loop.c", "loop.c")
os.symlink("..", "up")
""")
    other.wait_for_content(Path("foreign.c"), b"the other student's own")
    saves_are_recorded(student, "own")
    # What was only made, and not closed, is looked at after the quiet period.
    student.run("os.symlink('/etc/shadow', 'late.c')\ntime.sleep(0.5)")
    saves_are_recorded(student, "later")
    assert {event["filename"] for event in student.events()} == {"own.c", "later.c"}
    assert places_of(stack, SECRET) == []
    assert files_holding(stack.snapshots / student.name, b"the other student's own") == []
    (stack.workspaces / "os-1-999").unlink()


def test_a_link_swapped_in_while_it_is_read_leads_nowhere(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace, secrets: Path
) -> None:
    """A file, and a directory above one, change places with links to a secret thousands of times."""
    swaps = 4000
    program = f"""
os.mkdir("d"); os.mkdir("e")
for name in ("a.c", "d/a.c", "e/a.c"):
    open(name, "w").write("own")
os.symlink({str(secrets / "a.c")!r}, "link")
os.symlink({str(secrets)!r}, "linked")
print("begun", flush=True)
for number in range({swaps}):
    with open("own.tmp", "w") as file:
        file.write(f"own {{number}}")
    os.rename("own.tmp", "a.c")
    if not number % 4:
        with open("e/own.tmp", "w") as file:
            file.write(f"own {{number}}")
        os.rename("e/own.tmp", "e/a.c")
    os.symlink({str(secrets / "a.c")!r}, "next")
    os.rename("next", "a.c")
    os.rename("d", "away"); os.rename("linked", "d")
    os.rename("d", "linked"); os.rename("away", "d")
    open("d/a.c", "w").write(f"own {{number}} in d")
"""
    with student.running(program, to_its_end=True):
        saves_are_recorded(other, "meanwhile", 20)
        wait_for(lambda: len(student.events()) > 100, "the racing files to be read", 60.0)
    spool_is_empty(stack)
    assert len({event["sha256"] for event in student.events()}) > 50
    assert places_of(stack, SECRET) == []


def test_a_hard_link_to_what_a_student_may_not_read_is_never_recorded(
    stack: Stack, student: HostileStudent, secrets: Path
) -> None:
    """The kernel refuses it (fs.protected_hardlinks): filemon could not tell it from one of the student's own."""
    told = student.run(f"""
try:
    os.link({str(secrets / "a.c")!r}, "linked.c")
except OSError as error:
    print(type(error).__name__)
""")
    assert told == "PermissionError\n"
    saves_are_recorded(student, "own")
    assert places_of(stack, SECRET) == []


def test_what_is_no_regular_file_is_neither_opened_nor_waited_for(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    student.run("""
os.mkfifo("fifo.c")
listening = socket.socket(socket.AF_UNIX)
listening.bind("socket.c")
os.mkdir("directory.c")
""")
    # /dev/zero never ends, and opening a tape or a terminal does things.
    for name, minor in (("zero.c", 5), ("random.c", 8)):
        os.mknod(student.assignment / name, 0o20666, os.makedev(1, minor))
    with student.running("print('begun', flush=True)\nopen('fifo.c', 'w').write('x' * 100)"):
        saves_are_recorded(other, "meanwhile")
        saves_are_recorded(student, "own")
        student.run("time.sleep(0.5)")
        saves_are_recorded(other, "later")
        assert {event["filename"] for event in student.events()} == {"own.c"}
        subprocess.run(["cat", student.assignment / "fifo.c"], check=True, capture_output=True)


def test_mounts_in_a_workspace_are_not_entered(stack: Stack, student: HostileStudent, secrets: Path) -> None:
    student.run("""
os.mkdir("proc"); os.mkdir("elsewhere"); os.mkdir("loop")
open("bound.c", "w").close()
""")
    proc = Path("/proc/self").resolve()
    with (
        bound(proc, student.assignment / "proc"),
        bound(secrets, student.assignment / "elsewhere"),
        bound(secrets / "a.c", student.assignment / "bound.c"),
        bound(student.directory, student.assignment / "loop"),
    ):
        assert (student.assignment / "loop" / "hw1" / "loop").is_dir()
        saves_are_recorded(student, "own")
        stack.stop("filemon")
        stack.start("filemon")
        saves_are_recorded(student, "after-a-scan")
        assert places_of(stack, SECRET) == []
        assert {event["filename"] for event in student.events()} <= {"own.c", "after-a-scan.c", "bound.c"}


def test_names_of_any_bytes_are_one_line_and_one_valid_name_each(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    names = [
        b"x" * 253 + b".c",
        "가".encode() * 84 + b".c",
        b"\xff\xfe\x80.c",
        b"new\nline.c",
        b"INFO\n2026-01-01 00:00:00,000 - INFO - event detected: type=created path=forged.c",
        b"\x1b[2J\x1b]0;title\x07.c",
        b"\r\x08\x7f.c",
        "\u2028\u202e\u200b.c".encode(),
        b"%n%s@%40.c",
        b"@.c",
        b"%2F..%2F.c",
        b"..c",
        b" .c",
        b"'; rm -rf $(HOME) `id` {}.c",
    ]
    begin = len(stack.log_text("filemon"))
    student.run(f"""
for number, name in enumerate({names!r}):
    open(name, "w").write(f"number {{number}}")
for name in {[name[:60] for name in names[2:8]]!r}:
    os.mkdir(b"d" + name)
    open(b"d" + name + b"/a.c", "w").write("below")
""")
    expected = len([name for name in names if not name.startswith(b".")]) + 6
    events = student.wait_for_events(expected)
    saves_are_recorded(other, "meanwhile", 1)
    assert len({event["filename"] for event in events}) == expected
    for event in events:
        assert event["filename"].isprintable()
        assert len(event["filename"].encode()) <= 255
        assert "/" not in event["filename"]
        assert (stack.snapshots / event["snapshot_path"]).resolve().is_relative_to(stack.snapshots.resolve())
        assert (stack.snapshots / event["snapshot_path"]).read_bytes() == stack.content(event["id"])
    log = stack.log_text("filemon")[begin:]
    assert re.search("[^\\n\\x20-\\x7e\\u0080-\\U0010ffff]", log) is None
    assert "\u2028" not in log
    assert all(re.match(r"[\d-]{10} [\d:,]{12} - [A-Z]+ - ", line) for line in log.splitlines())
    assert not any(line.startswith("2026-01-01 00:00:00") for line in log.splitlines())


def test_names_make_no_labels(stack: Stack, student: HostileStudent) -> None:
    """A time series for each name would fill Prometheus."""

    def series() -> set[str]:
        answer = httpx.get(f"http://127.0.0.1:{stack.metrics_ports['filemon']}/metrics", trust_env=False)
        lines = answer.text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    before = series()
    student.run("""
for number in range(300):
    open(f"label{number}.c", "w").write("x")
    os.mkdir(f"directory{number}")
    open(f"directory{number}/a.c", "w").write("x")
""")
    student.wait_for_events(600)
    assert series() == before
    assert not any("label" in name and "directory" in name for name in before)


def test_what_the_student_has_locked_or_leased_or_may_not_read_is_recorded(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    lease = Path("/proc/sys/fs/lease-break-time")
    former = lease.read_text()
    lease.write_text("2")
    try:
        with student.running("""
import signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
open("leased.c", "w").write("leased")
leased = os.open("leased.c", os.O_RDWR)
while True:
    try:
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        break
    except BlockingIOError:
        pass  # filemon is reading it
os.pwrite(leased, b"leased and written", 0)
locked = open("locked.c", "w")
fcntl.flock(locked, fcntl.LOCK_EX)
fcntl.lockf(locked, fcntl.LOCK_EX)
locked.write("locked"); locked.flush()
open("unreadable.c", "w").write("unreadable")
os.chmod("unreadable.c", 0)
print("begun", flush=True)
time.sleep(120)
"""):
            saves_are_recorded(other, "meanwhile")
            for name in ("locked", "unreadable"):
                student.wait_for_content(Path(f"{name}.c"), name.encode())
            student.wait_for_content(Path("leased.c"), b"leased and written")
            saves_are_recorded(other, "later")
    finally:
        lease.write_text(former)
    file = student.assignment / "immutable.c"
    file.write_text("immutable")
    subprocess.run(["chattr", "+i", file], check=True)
    try:
        student.wait_for_content(Path("immutable.c"), b"immutable")
    finally:
        subprocess.run(["chattr", "-i", file], check=True)


def test_a_terabyte_that_is_not_there_is_recorded_without_content(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    before = _resident_bytes(stack)
    student.run("open('huge.c', 'w').truncate(1 << 40)")
    (event,) = student.wait_for_events(1)
    assert (event["size"], event["content_omitted"]) == (1 << 40, "too_large")
    saves_are_recorded(other, "meanwhile")
    assert _resident_bytes(stack) - before < 16 << 20


def test_a_file_that_grows_and_shrinks_while_it_is_read_is_recorded_whole_at_the_end(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    with student.running("""
print("begun", flush=True)
for number in range(20_000):
    with open("growing.c", "a") as file:
        file.write(f"line {number:06}\\n")
        if file.tell() > 60_000:
            file.truncate(6)
    with open("endless.c", "a") as file:
        file.write("x" * 4096)
        if file.tell() > 1 << 26:
            file.truncate(0)
with open("growing.c", "w") as file:
    file.write("at last")
with open("endless.c", "w") as file:
    file.write("at last")
print("ended", flush=True)
time.sleep(120)
"""):
        saves_are_recorded(other, "meanwhile", 10)
        for name in ("growing.c", "endless.c"):
            student.wait_for_content(Path(name), b"at last")
    spool_is_empty(stack)
    for name in ("growing.c", "endless.c"):
        events = [event for event in student.events() if event["filename"] == name]
        assert stack.content(events[-1]["id"]) == b"at last"
    sizes = [event["size"] for event in student.events() if event["content_omitted"] is None]
    assert max(sizes) <= 65_536


def test_a_whole_workspace_moved_away_and_back_deletes_nothing(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    saves_are_recorded(student, "own", 1)
    away = stack.workspaces / "archive"
    for _ in range(200):
        student.directory.rename(away)
        away.rename(student.directory)
    saves_are_recorded(other, "meanwhile")
    saves_are_recorded(student, "again", 1)
    assert "deleted" not in {event["change"] for event in student.events()}


def test_an_assignment_renamed_to_and_fro_holds_up_nobody(
    stack: Stack, student: HostileStudent, other: RecordedWorkspace
) -> None:
    """Each rename would cost a comparison of all that is in it."""
    files = 2000
    student.run(f"""
for number in range({files}):
    open(f"{{number}}.c", "w").write(str(number))
""")
    wait_for(lambda: stack.metric("filemon", "watcher_files_waiting") == 0, "the files to be recorded", 60.0)
    with student.running(
        """
print("begun", flush=True)
for number in range(30_000):
    os.rename("../hw1", "../hw2")
    os.rename("../hw2", "../hw1")
""",
        to_its_end=True,
    ):
        saves_are_recorded(other, "meanwhile", 10)
    spool_is_empty(stack)
    saves_are_recorded(student, "own", 1)
    names = {event["filename"] for event in student.events() if event["change"] == "created"}
    assert names == {"own.c", *(f"{number}.c" for number in range(files))}


def _resident_bytes(stack: Stack) -> int:
    for line in Path(f"/proc/{stack.pid('filemon')}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")
