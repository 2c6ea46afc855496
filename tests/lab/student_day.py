"""A student's hour with an assignment: what the student does, and what Watcher has to have recorded of it."""

import signal
from dataclasses import dataclass
from typing import Any, Literal

HOSTNAME = "jcode-os-1-202012180-866cbc896c-lrx9d"
WORKSPACE = "os-1-202012180"
CLASS_DIV, STUDENT_ID, HW_NAME = "os-1", 202012180, "hw1"

_MISTAKE = '#include <stdio.h>\nint main(void) {\n    printf("Hello, Watcher!\\n")\n    return 0;\n}\n'
_FIXED = _MISTAKE.replace('")\n', '");\n')
_CRASH = "int main(void) {\n    int *nowhere = 0;\n    return *nowhere;\n}\n"
_BY_VIM = "/* saved by vim */\n" + _FIXED
_BY_RENAME = "/* saved by an atomic rename */\n" + _FIXED
_FAIL = 'import sys\n\nprint("three")\nsys.exit(3)\n'


@dataclass(frozen=True)
class Save:
    """A version that has to be recorded, with its content; a deletion has none."""

    filename: str
    change: Literal["created", "modified", "deleted"]
    content: bytes = b""


@dataclass(frozen=True)
class Program:
    """A build or run that has to be recorded, and how it ended."""

    type: Literal["build", "run"]
    process_type: str
    target: str
    argv: tuple[str, ...]
    exit_code: int | None
    signal: int | None = None


@dataclass(frozen=True)
class Step:
    """What the student does (a shell script run in the assignment's directory), and what comes of it."""

    says: str
    script: str
    recorded: tuple[Save | Program, ...]


def _write(path: str, content: str) -> str:
    return f"cat > {path} <<'END'\n{content}END"


def _save(filename: str, change: Literal["created", "modified"], content: str) -> Save:
    return Save(filename, change, content.encode())


STEPS = (
    Step(
        "writes hello.c, with a mistake",
        _write("hello.c", _MISTAKE),
        (_save("hello.c", "created", _MISTAKE),),
    ),
    Step(
        "compiles it: fails",
        "gcc hello.c -o hello",
        (Program("build", "gcc", "hello.c", ("gcc", "hello.c", "-o", "hello"), 1),),
    ),
    Step("fixes the mistake", _write("hello.c", _FIXED), (_save("hello.c", "modified", _FIXED),)),
    Step(
        "compiles again",
        "gcc hello.c -o hello",
        (Program("build", "gcc", "hello.c", ("gcc", "hello.c", "-o", "hello"), 0),),
    ),
    Step("runs it", "./hello", (Program("run", "binary", "hello", ("./hello",), 0),)),
    Step(
        "writes a program that crashes",
        "mkdir -p src\n" + _write("src/crash.c", _CRASH),
        (_save("src@crash.c", "created", _CRASH),),
    ),
    Step(
        "compiles it",
        "gcc -Wall src/crash.c -o crash",
        (Program("build", "gcc", "src/crash.c", ("gcc", "-Wall", "src/crash.c", "-o", "crash"), 0),),
    ),
    Step(
        "runs it: dies by a signal",
        "ulimit -c 0; ./crash",
        (Program("run", "binary", "crash", ("./crash",), None, int(signal.SIGSEGV)),),
    ),
    Step(
        "saves with vim",
        "vim -N -u NONE -es -c \"1put! ='/* saved by vim */'\" -c wq hello.c",
        (_save("hello.c", "modified", _BY_VIM),),
    ),
    Step(
        "saves by an atomic rename",
        _write(".hello.c.new", _BY_RENAME) + "\nmv .hello.c.new hello.c",
        (_save("hello.c", "modified", _BY_RENAME),),
    ),
    Step("writes a Python script", _write("fail.py", _FAIL), (_save("fail.py", "created", _FAIL),)),
    Step(
        "runs it: exits 3",
        "python3 fail.py",
        (Program("run", "python", "fail.py", ("python3", "fail.py"), 3),),
    ),
    Step("deletes it", "rm fail.py", (Save("fail.py", "deleted"),)),
)


def differences(events: list[dict[str, Any]], content_of: dict[str, bytes]) -> list[str]:
    """What REST gave that was not to be expected, and what it did not give; empty where all is as it happened.

    `content_of` has the content that REST gave for each event that is a snapshot.
    """
    wanted = [expected for step in STEPS for expected in step.recorded]
    found = [
        _as_expected(event, content_of) for event in sorted(events, key=lambda event: str(event["occurred_at"]))
    ]
    problems = [f"missing: {expected}" for expected in wanted if expected not in found]
    problems += [f"not expected: {extra}" for extra in found if extra not in wanted]
    if not problems and found != wanted:
        problems.append(f"out of order or repeated: {found}")
    return problems


def _as_expected(event: dict[str, Any], content_of: dict[str, bytes]) -> Save | Program:
    if event["type"] == "snapshot":
        return Save(event["filename"], event["change"], content_of.get(event["id"], b""))
    target = event["target_path"].rpartition(f"/{HW_NAME}/")[2]
    return Program(
        event["type"], event["process_type"], target, tuple(event["argv"]), event["exit_code"], event["signal"]
    )
