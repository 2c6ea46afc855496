"""A student who works by the dice: saves in all the ways that editors and shells have, compiles and runs.

What is done is noted in a ledger by the one who does it. The same seed does the same things in the same order.
"""

import io
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.ledger import FileKey, Ledger, ProgramDone
from lab.pod import PROJECT, STUDENT_UID, Pod

HW_NAME = "hw1"

_TOOL_C = """// Ends as its second argument says: an exit code, or minus a signal; the third: after how many ms.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int end = atoi(argv[2]);
    if (argc > 3) {
        usleep(1000 * atoi(argv[3]));
    }
    if (end < 0) {
        raise(-end);
    }
    return end;
}
"""
_TOOL_PY = """# A program that ends as its second argument says: an exit code, or minus a signal.
import os, sys

end = int(sys.argv[2])
os._exit(end) if end >= 0 else os.kill(os.getpid(), -end)
"""
_FLOOD_C = """// Runs its third argument as often as the first says; marker: the second and a number.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int number = 0; number < atoi(argv[1]); number++) {
        char marker[64];
        snprintf(marker, sizeof marker, "%sn%d", argv[2], number);
        char *arguments[] = {argv[3], marker, "0", "0", argv[4], NULL};
        pid_t child = vfork();
        if (child == 0) {
            execv(argv[3], arguments);
            _exit(97);
        }
        if (argc != 6 || child < 0 || waitpid(child, NULL, 0) != child) {
            return 96;
        }
    }
    return 0;
}
"""
_BROKEN_C = "int main(void) { return 0 }\n"
_SOURCES = {"tool.c": _TOOL_C, "tool.py": _TOOL_PY, "broken.c": _BROKEN_C, "flood.c": _FLOOD_C}
_MOST_FILES = 14
_MOST_DIRECTORIES = 4
_SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGKILL)
_FLOOD_ARGUMENT_BYTES = 12000


@dataclass
class _Running:
    process: "subprocess.Popen[bytes]"
    marker: str
    end: int
    begun_ns: int


class StudentAtWork:
    """One student in one pod; `work` is the body of a thread, everything else of whoever owns the run."""

    def __init__(
        self,
        ledger: Ledger,
        workspaces: Path,
        class_div: str,
        student_id: int,
        seed: str,
        *,
        pause_seconds: tuple[float, float],
        rest_seconds: float,
    ) -> None:
        """`workspaces`: as on the server. `pause_seconds`: between two things done, at least and at most.

        `rest_seconds`: how long a file is left alone after something was done to it.
        """
        self.student_id = student_id
        self.workspace = workspaces / f"{class_div}-{student_id}"
        self.failure: Exception | None = None
        self._ledger = ledger
        self._chance = random.Random(f"{seed}/{student_id}")
        self._pause_seconds = pause_seconds
        self._rest_seconds = rest_seconds
        self._pod = Pod(f"jcode-{self.workspace.name}-866cbc896c-lrx9d", self.workspace)
        self._directory = self.workspace / HW_NAME
        self._files: dict[str, float] = {}
        self._directories: list[str] = []
        self._open: dict[str, tuple[io.FileIO, bytes]] = {}
        self._running: list[_Running] = []
        self._number = 0
        self._wanted: list[Callable[[], None]] = []
        self._wanting = threading.Lock()

    def __enter__(self) -> "StudentAtWork":
        self._pod.__enter__()
        self._directory.mkdir()
        os.chown(self._directory, STUDENT_UID, STUDENT_UID)
        return self

    def __exit__(self, *of: object) -> None:
        for file, _ in self._open.values():
            file.close()
        self._pod.__exit__(*of)
        for running in self._running:
            running.process.wait()

    def work(self, stop: threading.Event) -> None:
        """Prepare the programs, then do one thing after the other until told to stop, and end in order."""
        try:
            self._prepare()
            while not stop.wait(self._chance.uniform(*self._pause_seconds)):
                self._collect()
                with self._wanting:
                    wanted = list(self._wanted)
                for one in wanted or [self._choose()]:
                    one()
                with self._wanting:
                    # Only now: who asked for it waits until it is done.
                    del self._wanted[: len(wanted)]
            self._finish()
        except Exception as failure:  # noqa: BLE001
            # Whatever it is, the thread's owner raises it: a workload that ended early proves nothing.
            self.failure = failure

    def want_files(self, count: int, size: int = 0) -> None:
        """Ask for `count` new files of `size` bytes at least, at once, as an unpacked archive makes them."""
        self._want(lambda: self._unpack(count, size))

    def want_programs(self, count: int) -> None:
        """Ask for `count` short programs with long arguments, one after the other as fast as they run."""
        self._want(lambda: self._flood(count))

    def _want(self, one: Callable[[], None]) -> None:
        with self._wanting:
            self._wanted.append(one)

    def is_content(self) -> bool:
        """Whether all that was asked for has been done."""
        with self._wanting:
            return not self._wanted

    def key(self, name: str) -> FileKey:
        """A file below the assignment, as Watcher names it."""
        return FileKey(self.student_id, HW_NAME, name.replace("/", "@"))

    # What is chosen from, and how often.

    def _choose(self) -> Callable[[], None]:
        weighted: tuple[tuple[int, Callable[[], None]], ...] = (
            (24, self._write_in_place),
            (10, self._write_by_rename),
            (3, self._write_by_vim),
            (10, self._write_open),
            (3, self._close_open),
            (2, self._write_same_again),
            (6, self._delete),
            (6, self._rename),
            (6, self._make_directories),
            (3, self._move_directory),
            (2, self._delete_directory),
            (4, self._build),
            (4, self._run_python),
            (6, self._run_binary),
            (2, self._start_long),
        )
        return self._chance.choices([one for _, one in weighted], [weight for weight, _ in weighted])[0]

    def _prepare(self) -> None:
        for name, text in (
            ("tool.c", _TOOL_C),
            ("tool.py", _TOOL_PY),
            ("broken.c", _BROKEN_C),
            ("flood.c", _FLOOD_C),
        ):
            self._save(name, text.encode())
            # None of the others' business.
            del self._files[name]
        for name in ("tool", "flood"):
            self._run("build", f"gcc -D%s {name}.c -o {name}", 0)

    def _finish(self) -> None:
        for name in list(self._open):
            self._close(name)
        for running in self._running:
            running.process.wait()
        self._collect()

    # Files.

    def _content(self, name: str, how: str) -> bytes:
        self._number += 1
        lines = self._chance.randrange(4) ** 4
        head = f"{self.key(name)} version {self._number} {how}\n"
        return (head + "".join(f"line {line} of {self._number}\n" for line in range(lines))).encode()

    def _new_name(self) -> str:
        self._number += 1
        directory = self._chance.choice([*self._directories, ""])
        name = f"f{self._number}.{self._chance.choice(('c', 'h', 'py', 'cpp'))}"
        return f"{directory}/{name}" if directory else name

    def _at_rest(self) -> list[str]:
        now = time.monotonic()
        return [
            name for name, at in self._files.items() if now - at >= self._rest_seconds and name not in self._open
        ]

    def _some_file(self) -> str | None:
        """One that may be touched."""
        found = self._at_rest()
        return self._chance.choice(found) if found else None

    def _new_or_some_file(self) -> str:
        if len(self._files) < _MOST_FILES and self._chance.random() < 0.3:
            return self._new_name()
        return self._some_file() or self._new_name()

    def _save(self, name: str, content: bytes) -> None:
        begun = time.time_ns()
        with (self._directory / name).open("wb") as file:
            file.write(content)
        self._saved(name, content, begun)

    def _saved(self, name: str, content: bytes, begun: int) -> None:
        self._ledger.saved(self.key(name), content, begun, time.time_ns())
        self._files[name] = time.monotonic()

    def _write_in_place(self) -> None:
        name = self._new_or_some_file()
        self._save(name, self._content(name, "in place"))

    def _write_by_rename(self) -> None:
        name = self._new_or_some_file()
        content = self._content(name, "by rename")
        path = self._directory / name
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(content)
        begun = time.time_ns()
        beside.rename(path)
        self._saved(name, content, begun)

    def _write_by_vim(self) -> None:
        # A file of its own in the student's own directory: vim runs as the student.
        name = "vim.c"
        self._number += 1
        text = f"{self.key(name)} version {self._number} by vim"
        existed = self.key(name) in self._ledger.files
        begun = time.time_ns()
        commands = f"-c '%d _' -c \"0put ='{text}'\" -c '$d _' -c wq"
        done = self._pod.run(f"vim -N -u NONE -es {commands} {name}", f"{PROJECT}/{HW_NAME}")
        content = f"{text}\n".encode()
        if (self._directory / name).read_bytes() != content:
            raise AssertionError(f"vim did not save {text!r}: {done}")
        if existed:
            # It renames the file to its backup's name and writes it anew, unless it decides to write in place.
            self._ledger.deleted(self.key(name), begun, begun)
        self._ledger.saved(self.key(name), content, begun, time.time_ns())

    def _write_same_again(self) -> None:
        name = self._some_file()
        if name is not None:
            self._save(name, (self._directory / name).read_bytes())

    def _write_open(self) -> None:
        """Append to one of the files that are kept open; open one where there are few."""
        if len(self._open) < 2:
            name = self._new_name()
            begun = time.time_ns()
            file = (self._directory / name).open("ab", buffering=0)
            self._open[name] = (file, b"")
            self._files[name] = time.monotonic()
            # As long as nothing is in it, that is what it holds.
            self._ledger.grown(self.key(name), b"", begun, time.time_ns())
        name = self._chance.choice(list(self._open))
        file, former = self._open[name]
        self._number += 1
        line = f"{self.key(name)} line {self._number}\n".encode()
        begun = time.time_ns()
        file.write(line)
        self._open[name] = (file, former + line)
        self._ledger.grown(self.key(name), former + line, begun, time.time_ns())

    def _close_open(self) -> None:
        if self._open:
            self._close(self._chance.choice(list(self._open)))

    def _close(self, name: str) -> None:
        file, content = self._open.pop(name)
        file.close()
        self._saved(name, content, time.time_ns())

    def _delete(self) -> None:
        name = self._some_file()
        if name is None or len(self._files) < 4:
            return
        begun = time.time_ns()
        (self._directory / name).unlink()
        self._gone(name, begun)

    def _gone(self, name: str, begun: int) -> None:
        self._ledger.deleted(self.key(name), begun, time.time_ns())
        del self._files[name]

    def _rename(self) -> None:
        name, new = self._some_file(), self._new_name()
        if name is None:
            return
        begun = time.time_ns()
        (self._directory / name).rename(self._directory / new)
        self._moved(name, new, begun)

    def _moved(self, name: str, new: str, begun: int) -> None:
        self._ledger.moved_in(self.key(new), self.key(name), begun, time.time_ns())
        del self._files[name]
        self._files[new] = time.monotonic()

    def _make_directories(self) -> None:
        """`mkdir -p a/b/c` and a file in the deepest, at once."""
        if len(self._directories) >= _MOST_DIRECTORIES:
            return
        self._number += 1
        directory = f"d{self._number}" + "".join(self._chance.sample(["/a", "/b"], self._chance.randrange(3)))
        (self._directory / directory).mkdir(parents=True)
        self._directories.append(directory)
        self._number += 1
        name = f"{directory}/f{self._number}.c"
        self._save(name, self._content(name, "in new directories"))

    def _idle_directory(self) -> str | None:
        """A directory whose files may all be touched."""
        busy = self._files.keys() - set(self._at_rest())
        found = [one for one in self._directories if not any(name.startswith(f"{one}/") for name in busy)]
        return self._chance.choice(found) if found else None

    def _move_directory(self) -> None:
        directory = self._idle_directory()
        if directory is None:
            return
        self._number += 1
        top, below = directory.split("/", 1) if "/" in directory else (directory, "")
        new_top = f"m{self._number}"
        new = f"{new_top}/{below}" if below else new_top
        begun = time.time_ns()
        (self._directory / top).rename(self._directory / new_top)
        self._directories[self._directories.index(directory)] = new
        for name in [name for name in self._files if name.startswith(f"{top}/")]:
            self._moved(name, f"{new_top}/{name[len(top) + 1 :]}", begun)

    def _delete_directory(self) -> None:
        directory = self._idle_directory()
        if directory is None:
            return
        top = directory.split("/", 1)[0]
        begun = time.time_ns()
        shutil.rmtree(self._directory / top)
        self._directories.remove(directory)
        for name in [name for name in self._files if name.startswith(f"{top}/")]:
            self._gone(name, begun)

    def _unpack(self, count: int, size: int) -> None:
        self._number += 1
        directory = f"u{self._number}"
        (self._directory / directory).mkdir()
        for number in range(count):
            name = f"{directory}/{number}.c"
            self._save(name, self._content(name, "unpacked").ljust(size, b"."))
            if number >= count // 8:
                # A bounded number stays among those that are worked on; the others stay as they are.
                del self._files[name]

    # Programs.

    def _marker(self) -> str:
        self._number += 1
        return f"M{self.student_id}x{self._number}"

    def _run(self, type_: Literal["build", "run"], script: str, end: int) -> None:
        """Run a program in the pod; `%s` in its script is the marker, `end` an exit code or minus a signal."""
        marker = self._marker()
        begun = time.time_ns()
        done = self._pod.run(f"ulimit -c 0; {script % marker}", f"{PROJECT}/{HW_NAME}")
        self._ran(type_, marker, end, begun, done.returncode, done.stderr)

    def _ran(
        self, type_: Literal["build", "run"], marker: str, end: int, begun: int, code: int, told: bytes = b""
    ) -> None:
        if code != (end if end >= 0 else 128 - end):
            raise AssertionError(f"{marker} ended with {code}, not {end}: {told.decode(errors='replace')[-500:]}")
        exit_code, killed_by = (end, None) if end >= 0 else (None, -end)
        done = ProgramDone(self.student_id, marker, type_, exit_code, killed_by, begun, time.time_ns())
        self._ledger.ran(done)

    def _end(self) -> int:
        """How a program ends."""
        return self._chance.choice([0, 0, self._chance.randrange(1, 126), -self._chance.choice(_SIGNALS)])

    def _build(self) -> None:
        if self._chance.random() < 0.5:
            self._run("build", "gcc -D%s broken.c -o broken", 1)
        else:
            self._run("build", "gcc -D%s tool.c -o tool2", 0)

    def _run_python(self) -> None:
        end = self._end()
        self._run("run", f"python3 tool.py %s {end}", end)

    def _run_binary(self) -> None:
        end = self._end()
        self._run("run", f"./tool %s {end}", end)

    def _start_long(self) -> None:
        """A program that goes on while other things happen."""
        if len(self._running) >= 3:
            return
        marker, end = self._marker(), self._end()
        script = f"ulimit -c 0; ./tool {marker} {end} {self._chance.randrange(500, 5000)}"
        begun = time.time_ns()
        process = subprocess.Popen(
            self._pod.command(script, f"{PROJECT}/{HW_NAME}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._running.append(_Running(process, marker, end, begun))

    def _collect(self) -> None:
        """Note the long programs that have ended."""
        for running in [one for one in self._running if one.process.poll() is not None]:
            self._running.remove(running)
            self._ran("run", running.marker, running.end, running.begun_ns, running.process.returncode)

    def _flood(self, count: int) -> None:
        marker, inner = self._marker(), self._marker()
        padding = "x" * _FLOOD_ARGUMENT_BYTES
        begun = time.time_ns()
        done = self._pod.run(f"./flood {count} {inner} ./tool {padding} {marker}", f"{PROJECT}/{HW_NAME}")
        if done.returncode != 0:
            raise AssertionError(f"the flood ended with {done}")
        ended = time.time_ns()
        markers = [marker, *(f"{inner}n{number}" for number in range(count))]
        self._ledger.ran(*(ProgramDone(self.student_id, one, "run", 0, None, begun, ended) for one in markers))
