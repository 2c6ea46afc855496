"""What students do: compile, run, script. With the real gcc and python3."""

from pathlib import Path

from integration.procmon.student_pod import HOSTNAME, WORKSPACE, Pod, Recorder
from watcher_agents.identity import student_of_workspace


def test_a_failed_and_a_good_build_and_the_run(pod: Pod, recorder: Recorder) -> None:
    """Two builds with their exit codes, one run; the compiler's own sub-processes are none."""
    (pod.hw1 / "bad.c").write_text("int main( { return 0; }\n")
    (pod.hw1 / "good.c").write_text("int main(void) { return 42; }\n")
    assert pod.run("gcc -o bad bad.c 2>/dev/null; gcc -Wall -o good good.c && ./good") == 42
    run, classification = recorder.one("good")
    assert (run.exit_code, classification.process_type, classification.hw_name) == (42, "binary", "hw1")
    builds = [(kind.target_path, run.exit_code) for run, kind in recorder.reported if kind.type == "build"]
    assert builds == [(str(pod.hw1 / "bad.c"), 1), (str(pod.hw1 / "good.c"), 0)]
    assert len(recorder.reported) == 3
    assert {entry[0].student for entry in recorder.reported} == {student_of_workspace(WORKSPACE)}
    assert {entry[0].hostname for entry in recorder.reported} == {HOSTNAME}


def test_build_by_the_path_in_the_container(pod: Pod, recorder: Recorder) -> None:
    """A source named by where the container has it counts, from any directory."""
    (pod.hw1 / "far.c").write_text("int main(void) { return 0; }\n")
    assert pod.run("cd / && cc -c -o /dev/null /home/coder/project/hw1/far.c") == 0
    run, classification = recorder.one(Path("/usr/bin/cc").resolve().name)
    assert classification.target_path == "/home/coder/project/hw1/far.c"
    assert (classification.process_type, run.cwd) == ("gcc", "/")


def test_python_script_with_its_exit_code(pod: Pod, recorder: Recorder) -> None:
    """A script's exit code and arguments arrive; where it lies is told inside the file system."""
    (pod.hw1 / "three.py").write_text("raise SystemExit(3)\n")
    assert pod.run("/usr/bin/python3 -u three.py --password=hunter2 x") == 3
    run, classification = recorder.one(Path("/usr/bin/python3").resolve().name)
    assert run.argv == ("/usr/bin/python3", "-u", "three.py", "--password=[redacted]", "x")
    assert (run.exit_code, run.cwd) == (3, str(pod.hw1))
    assert (classification.type, classification.process_type) == ("run", "python")
    assert classification.target_path == str(pod.hw1 / "three.py")


def test_shebang_scripts_are_runs_of_the_script(pod: Pod, recorder: Recorder) -> None:
    """`./script` through #!, directly and by way of env, is python's run of that script."""
    for name, line in (("direct", "#!/usr/bin/python3"), ("through_env", "#!/usr/bin/env python3")):
        script = pod.hw1 / name
        script.write_text(f"{line}\nraise SystemExit(9)\n")
        script.chmod(0o755)
    pod.run("./direct; ./through_env; ./direct")
    (pod.hw1 / "last.c").write_text("int main(void) { return 0; }\n")
    pod.run("gcc -c last.c")
    recorder.one(Path("/usr/bin/gcc").resolve().name)
    told = [(entry[1].process_type, entry[1].target_path, entry[0].exit_code) for entry in recorder.reported[:-1]]
    direct, through_env = str(pod.hw1 / "direct"), str(pod.hw1 / "through_env")
    assert told == [("python", direct, 9), ("python", through_env, 9), ("python", direct, 9)]


def test_shell_work_is_not_reported(pod: Pod, recorder: Recorder) -> None:
    """What is neither build nor run leaves nothing, in an assignment too."""
    (pod.hw1 / "end.py").write_text("")
    pod.run("ls -l >/dev/null; cat end.py; sh -c true; gcc --version >/dev/null; python3 -c 1; python3 end.py")
    recorder.one(Path("/usr/bin/python3").resolve().name)
    assert len(recorder.reported) == 1
