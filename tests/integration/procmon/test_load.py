"""What the probe needs to load, what it does not need, and what it says where something is missing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.procmon.student_pod import Observer
from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.probe.loader import ProcessProbe

# Loads a probe, executes a program in a UTS namespace of that name, and prints what the probe recorded of it.
_LOAD = """
import subprocess, sys
from watcher_agents.procmon.probe.errors import ProbeError
from watcher_agents.procmon.probe.loader import ProcessProbe
from watcher_agents.procmon.probe.records import Exec, decode
raw = []
try:
    probe = ProcessProbe("headerless-", raw.append, ring_pages=16)
except ProbeError as error:
    sys.exit(f"ProbeError: {error}")
subprocess.run(["unshare", "--uts", "sh", "-c", "hostname headerless-1; exec true seen"], check=True)
probe.poll(1000)
print([record.argv for record in map(decode, raw) if isinstance(record, Exec)])
probe.close()
"""


def load(
    hide: str, command: tuple[str, ...] = (sys.executable, "-c", _LOAD)
) -> "subprocess.CompletedProcess[str]":
    """Loads a probe in a mount namespace of its own, after the shell commands `hide`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BCC_")}
    return subprocess.run(
        ["/usr/bin/unshare", "--mount", "/bin/sh", "-ec", f'{hide}\nexec "$@"', "sh", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def hidden(*directories: str) -> str:
    """Shell commands that put an empty file system over directories, which are made where they do not exist."""
    return "\n".join(f"mkdir -p {directory}; mount -t tmpfs tmpfs {directory}" for directory in directories)


def test_loads_without_kernel_headers_and_without_tracefs() -> None:
    """No headers of the running kernel, no debugfs and no tracefs: it loads all the same, and it sees."""
    release = os.uname().release
    absent = (f"/lib/modules/{release}/build", "/sys/kernel/tracing/events", "/sys/kernel/kheaders.tar.xz")
    loaded = load(
        hidden("/usr/src", "/sys/kernel/tracing", "/sys/kernel/debug")
        + "\nif [ -d /lib/modules ]; then mount -t tmpfs tmpfs /lib/modules; fi"
        + "".join(f"\n[ ! -e {path} ]" for path in absent)
    )
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert loaded.stdout.strip().endswith("('true', 'seen')]")


@pytest.mark.parametrize(
    ("hide", "words"),
    [
        (hidden("/sys/kernel/btf"), "this kernel has no BTF: /sys/kernel/btf/vmlinux does not exist"),
        (hidden("/usr/include/linux"), "package linux-libc-dev is missing"),
        (hidden(f"/usr/include/{os.uname().machine}-linux-gnu"), "asm/types.h' file not found"),
        (hidden("/usr/lib/python3/dist-packages"), "package python3-bpfcc is missing"),
        (hidden("/usr/lib/python3/dist-packages/bcc"), "is not the bcc of package python3-bpfcc"),
    ],
    ids=["btf", "linux-libc-dev", "half of linux-libc-dev", "bcc", "another bcc"],
)
def test_what_is_missing_is_named_in_one_line(hide: str, words: str) -> None:
    """A machine that lacks something is told what, without a traceback."""
    loaded = load(hide)
    assert loaded.returncode == 1
    assert words in loaded.stderr
    assert loaded.stderr.startswith("ProbeError: ")
    assert loaded.stderr.count("\n") == 1


def test_missing_capabilities_are_named() -> None:
    """Without the right to load, the answer is which rights it takes."""
    dropped = ("/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", _LOAD)
    loaded = load("", dropped)
    assert loaded.returncode == 1
    assert loaded.stderr == (
        "ProbeError: the probe needs root, or the capabilities CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)\n"
    )


def test_what_the_kernel_refuses_is_told_with_its_reason() -> None:
    """The reason that BCC writes to standard error is in the exception, in one line of bounded length."""
    with pytest.raises(ProbeError) as refused:
        ProcessProbe("jcode-", lambda raw: None, live_entries=0)
    message = str(refused.value)
    assert "Invalid argument" in message
    assert "\n" not in message
    assert len(message) < 500


def test_standard_error_is_what_it_was_after_loading(make_observer: Callable[..., Observer]) -> None:
    """Loading borrows file descriptor 2 and the environment, and gives both back."""
    before = (Path("/proc/self/fd/2").readlink(), dict(os.environ))
    make_observer(ring_pages=1)
    assert (Path("/proc/self/fd/2").readlink(), dict(os.environ)) == before


def test_closing_leaves_nothing_in_the_kernel() -> None:
    """After close no file of BPF's is left open, ten times over."""
    before = bpf_files()
    for _ in range(10):
        Observer(ring_pages=1).probe.close()
    assert bpf_files() == before


def bpf_files() -> int:
    """Programs, maps and links of BPF that this process holds."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum("bpf" in str(link) for link in links)


@pytest.mark.parametrize("prefix", ["", "x" * 65])
def test_prefix_that_matches_all_or_nothing_is_refused(prefix: str) -> None:
    """An empty prefix would record the whole node, a longer one than a hostname nothing."""
    with pytest.raises(ValueError, match="hostname_prefix"):
        ProcessProbe(prefix, lambda raw: None)
