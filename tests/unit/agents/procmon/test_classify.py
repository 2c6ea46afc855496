"""Real command lines, and what each counts as under the default rules."""

import shlex

import pytest

from watcher_agents.identity import Student
from watcher_agents.procmon.classify import classify
from watcher_agents.procmon.program_run import Classification, Program
from watcher_agents.procmon.rules import load_rules

RULES = load_rules()
W = "/workspace/os-1-202012180"
HW = f"{W}/hw1"
GCC = "/usr/bin/x86_64-linux-gnu-gcc-12"
PYTHON = "/usr/bin/python3.11"
GO = "/usr/local/go/bin/go"
JAVA = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"


def classified(binary_path: str, command: str, cwd: str = HW) -> Classification | None:
    program = Program(
        hostname="jcode-os-1-202012180-866cbc896c-lrx9d",
        hostname_forged=False,
        student=Student("os-1", 202012180, "os-1-202012180"),
        pid=7,
        start_boottime=1,
        boottime=2,
        binary_path=binary_path,
        argv=tuple(shlex.split(command)),
        argv_truncated=False,
        cwd=cwd,
        already_running=False,
    )
    return classify(program, RULES)


@pytest.mark.parametrize(
    ("binary_path", "command", "process_type", "target"),
    [
        (GCC, "gcc hello.c", "gcc", "hello.c"),
        (GCC, "cc -Wall -O2 -o hello hello.c -lm", "gcc", "hello.c"),
        (GCC, "gcc -I include -include config.h -D X=1 -MF deps.d src/a.c src/b.c", "gcc", "src/a.c"),
        (GCC, "gcc -o odd.c main.c", "gcc", "main.c"),
        (GCC, "gcc -oodd.c ./x/../main.c", "gcc", "main.c"),
        (GCC, "gcc -c -- -strange.c", "gcc", "-strange.c"),
        (GCC, f"gcc /tmp/other.c {HW}/own.c", "gcc", "own.c"),
        ("/usr/bin/aarch64-linux-gnu-gcc", "aarch64-linux-gnu-gcc boot.S", "gcc", "boot.S"),
        ("/usr/bin/x86_64-linux-gnu-g++-12", "g++ -std=c++20 main.cpp", "g++", "main.cpp"),
        ("/usr/lib/llvm-14/bin/clang", "clang -target x86_64 -Xclang -ast-dump a.c", "clang", "a.c"),
        ("/usr/bin/clang-14", "clang++ a.cc", "clang", "a.cc"),
        ("/usr/bin/tcc", "tcc -o x x.c", "cc", "x.c"),
        ("/usr/lib/jvm/java-17/bin/javac", "javac -d out -cp lib/a.jar Main.java", "javac", "Main.java"),
        ("/root/.cargo/bin/rustc", "rustc --edition 2021 -C opt-level=2 main.rs", "rustc", "main.rs"),
        (GO, "go build", "go", ""),
        (GO, "go build -o out ./cmd/app", "go", "cmd/app"),
        (GO, "go vet main.go", "go", "main.go"),
    ],
)
def test_builds(binary_path: str, command: str, process_type: str, target: str) -> None:
    """A compiler with a source in the assignment: the first such source is the target."""
    path = f"{HW}/{target}" if target else HW
    assert classified(binary_path, command) == Classification("build", process_type, "hw1", path)


@pytest.mark.parametrize(
    ("binary_path", "command", "process_type", "target"),
    [
        (PYTHON, "python3 main.py", "python", "main.py"),
        (PYTHON, "python3 -u -W ignore -X dev main.py --x y.py", "python", "main.py"),
        (PYTHON, "python3 -OOBu -Wignore sub/main.py", "python", "sub/main.py"),
        (PYTHON, "python3 script_without_extension", "python", "script_without_extension"),
        (PYTHON, "python3 .", "python", ""),
        (f"{HW}/venv/bin/python", "venv/bin/python main.py", "python", "main.py"),
        ("/opt/conda/bin/python3.12", "python main.py", "python", "main.py"),
        ("/usr/bin/pypy3.9", "pypy3 main.py", "python", "main.py"),
        ("/usr/bin/node", "node -r ./hook.js --inspect app.js", "node", "app.js"),
        (JAVA, "java -cp out:lib/x.jar Main arg", "java", "Main"),
        (JAVA, "java -Xmx1g -jar build/app.jar", "java", "build/app.jar"),
        (JAVA, "java Main.java", "java", "Main.java"),
        (GO, "go run main.go", "go", "main.go"),
        (GO, "go run -race .", "go", ""),
        ("/usr/bin/ruby3.1", "ruby -w x.rb", "ruby", "x.rb"),
        ("/usr/bin/perl", "perl -w x.pl", "perl", "x.pl"),
        ("/usr/bin/php8.2", "php -f x.php", "php", "x.php"),
        (f"{HW}/a.out", "./a.out 1 2", "binary", "a.out"),
        (f"{HW}/target/debug/app", "app", "binary", "target/debug/app"),
    ],
)
def test_runs(binary_path: str, command: str, process_type: str, target: str) -> None:
    """An interpreter with a script in the assignment, or a program that lies there."""
    path = f"{HW}/{target}" if target else HW
    assert classified(binary_path, command) == Classification("run", process_type, "hw1", path)


@pytest.mark.parametrize(
    ("binary_path", "command", "cwd"),
    [
        (GCC, "gcc --version", HW),
        (GCC, "gcc -o out main.o lib.o", HW),
        (GCC, "gcc -o main.c -I x.c -include y.c", HW),
        (GCC, "gcc main.c", W),
        (GCC, "gcc main.c", "/tmp"),
        (GCC, "gcc /tmp/main.c", HW),
        (GCC, "gcc ../main.c", HW),
        (GCC, "gcc -E -", HW),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "cc1 -quiet main.c", HW),
        ("/usr/bin/x86_64-linux-gnu-as", "as -o x.o x.s", HW),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/collect2", "collect2 main.c", HW),
        ("/usr/lib/llvm-14/bin/clang", "clang -cc1 -triple x86_64 -x c main.c", HW),
        ("/usr/lib/llvm-14/bin/clangd", "clangd main.c", HW),
        ("/usr/bin/gccgo-12", "gccgo main.c", HW),
        (GO, "go version", HW),
        (GO, "go", HW),
        (GO, "go build", W),
        (GO, "go mod tidy", HW),
        (PYTHON, "python3", HW),
        (PYTHON, "python3 -c print(1) main.py", HW),
        (PYTHON, "python3 -Bc print(1) main.py", HW),
        (PYTHON, "python3 -m pytest test.py", HW),
        (PYTHON, "python3 -Im pytest test.py", HW),
        (PYTHON, "python3 -", HW),
        (PYTHON, "python3 --", HW),
        (PYTHON, "python3 -W", HW),
        (PYTHON, "python3 /usr/bin/pip install x", HW),
        (PYTHON, "python3 setup.py", "/tmp"),
        ("/usr/bin/node", "node -e 1 app.js", HW),
        (JAVA, "java -version", HW),
        (JAVA, "java -jar /opt/server.jar", HW),
        (JAVA, "java -jar", HW),
        ("/usr/bin/ls", "ls -l main.c", HW),
        ("/usr/bin/dash", "sh run.sh", HW),
        ("/usr/bin/vim", "vim main.c", HW),
        ("/usr/bin/a.out", "./a.out", HW),
        (f"{W}/a.out", "./a.out", W),
        (f"{W}/hw21/a.out", "./a.out", f"{W}/hw21"),
        (f"{W}/xhw1/a.out", "./a.out", HW),
    ],
)
def test_what_counts_as_nothing(binary_path: str, command: str, cwd: str) -> None:
    """Everything else, however near it comes."""
    assert classified(binary_path, command, cwd) is None


@pytest.mark.parametrize(
    ("path", "hw_name"),
    [
        (f"{HW}/a", "hw1"),
        ("/home/coder/project/hw20/a", "hw20"),
        (f"/tmp/x/{W[1:]}/hw3/deep/er/a", "hw3"),
        (f"{HW}/workspace/os-1-202099999/hw2/a", "hw1"),
        ("/workspace/os-1-202099999/hw1/a", None),
        (f"/workspace/os-1-202099999/hw1{HW}/a", None),
        (f"/workspace/os-1-202099999{HW}/a", None),
        ("/workspace/os-2-202012180/hw1/a", None),
        ("/workspace/os-1-2020121801/hw1/a", None),
        ("/workspaces/os-1-202012180/hw1/a", None),
        ("/os-1-202012180/hw1/a", None),
        (f"{W}/other/hw1/a", None),
        ("/home/coder/projects/hw1/a", None),
        ("/x/home/coder/project/hw1/a", None),
        ("/workspace", None),
        (f"…{HW}/a", None),
    ],
)
def test_whose_assignment_a_path_is_in(path: str, hw_name: str | None) -> None:
    """The student's own workspace, wherever its file system is mounted; the first workspace in a path decides."""
    found = classified(path, "a", "/")
    assert (found and found.hw_name) == hw_name


def test_source_named_as_the_container_has_it() -> None:
    """An absolute path in the arguments is one of the container's."""
    path = "/home/coder/project/hw2/x.c"
    assert classified(GCC, f"gcc {path}", "/") == Classification("build", "gcc", "hw2", path)


def test_own_program_may_bear_any_name() -> None:
    """A student's program that is called like a compiler or an interpreter is still a program of the student's."""
    for name in ("gcc", "python3", "go", "node"):
        path = f"{HW}/{name}"
        assert classified(path, f"./{name}") == Classification("run", "binary", "hw1", path)


def test_directory_that_is_not_known_from_the_root_on_is_nobodys() -> None:
    """What was cut off might have been anyone's workspace."""
    assert classified(GCC, "gcc main.c", f"…{HW}") is None
    assert classified(GCC, f"gcc {HW}/main.c", "…/x") == Classification("build", "gcc", "hw1", f"{HW}/main.c")


def test_no_arguments_at_all() -> None:
    """A program may be given none, not even its name."""
    assert classified(GCC, "") is None
    assert classified(PYTHON, "") is None
    assert classified(f"{HW}/a.out", "") == Classification("run", "binary", "hw1", f"{HW}/a.out")
