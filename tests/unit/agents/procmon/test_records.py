"""What the probe sends is decoded to what it was."""

import struct
import time
from datetime import datetime, timedelta, timezone

import pytest

from watcher_agents.procmon.clock import BootClock
from watcher_agents.procmon.probe.records import CUT, Exec, Exit, RecordError, decode


def exec_record(
    exe: bytes = b"gcc\0bin\0usr\0",
    cwd: bytes = b"hw1\0",
    argv: bytes = b"gcc\0a.c\0",
    *,
    flags: int = 0,
    argv_length: int | None = None,
    hostname: bytes = b"jcode-os-1-1",
) -> bytes:
    length = len(argv) if argv_length is None else argv_length
    header = struct.pack("=IIQQQ", 1, 4242, 1000, 2000, length)
    sizes = struct.pack("=IIIIII", flags, 8 << 20 | 1, 9 << 20 | 2, len(exe), len(cwd), len(argv))
    pod = struct.pack("=QQII", 77, 900, 4200, 0) + hostname.ljust(72, b"\0") + b"jcode-os-1-2".ljust(72, b"\0")
    return header + sizes + pod + exe + cwd + argv


def decoded_exec(raw: bytes) -> Exec:
    record = decode(raw)
    assert isinstance(record, Exec)
    return record


def test_exec_is_decoded() -> None:
    """Every field, paths turned round from the leaf."""
    assert decode(exec_record()) == Exec(
        pid=4242,
        start_boottime=1000,
        boottime=2000,
        hostname="jcode-os-1-1",
        binary_path="/usr/bin/gcc",
        cwd="/hw1",
        argv=("gcc", "a.c"),
        truncated=False,
        exe_device=8 << 20 | 1,
        cwd_device=9 << 20 | 2,
        mount_namespace=77,
        init_pid=4200,
        init_start_boottime=900,
        init_hostname="jcode-os-1-2",
    )


def test_root_and_empty_arguments() -> None:
    """The root has no names; empty arguments are arguments."""
    record = decoded_exec(exec_record(cwd=b"", argv=b"a\0\0\0b\0\0"))
    assert record.cwd == "/"
    assert record.argv == ("a", "", "", "b", "")
    assert decoded_exec(exec_record(argv=b"")).argv == ()
    assert decoded_exec(exec_record(argv=b"\0")).argv == ("",)


@pytest.mark.parametrize("flag", [1, 2, 4, 8, 16, 32])
def test_every_flag_marks_the_record(flag: int) -> None:
    """Whatever was cut or could not be read, the record says that something was."""
    assert decoded_exec(exec_record(flags=flag)).truncated


def test_cut_path_does_not_pass_for_absolute() -> None:
    """A path whose beginning is not known begins with a mark."""
    record = decoded_exec(exec_record(exe=b"c\0b\0", cwd=b"", flags=1 | 16))
    assert record.binary_path == f"{CUT}/b/c"
    assert record.cwd == f"{CUT}/"


def test_cut_argv_keeps_what_there_is() -> None:
    """The last argument is the part of it that fitted."""
    record = decoded_exec(exec_record(argv=b"cat\0abc", argv_length=100000, flags=4))
    assert record.argv == ("cat", "abc")


def test_bytes_that_are_no_utf8_become_text() -> None:
    """Anything a student can name can be encoded again."""
    record = decoded_exec(exec_record(exe=b"\xff\0", cwd=b"\xed\xa0\x80\0", argv="é\0".encode() + b"\xc3\0"))
    assert (record.binary_path, record.argv) == ("/\\xff", ("é", "\\xc3"))
    assert record.cwd.encode().decode() == record.cwd


def test_path_is_no_longer_than_the_wire_contract_allows() -> None:
    """4 KiB of bytes that are no UTF-8 would be 16 KiB of text: its end is kept, and marked."""
    record = decoded_exec(exec_record(cwd=b"\xff" * 255 + b"\0" + b"\xfe" * 3800 + b"\0"))
    assert len(record.cwd) == 8192
    assert record.cwd.startswith(CUT)
    assert record.cwd.endswith("\\xff")
    assert record.truncated


@pytest.mark.parametrize(
    ("status", "exit_code", "signal", "core"),
    [
        (0x0000, 0, None, False),
        (0x0300, 3, None, False),
        (0xFF00, 255, None, False),
        (0x0009, None, 9, False),
        (0x008B, None, 11, True),
        (0x0006, None, 6, False),
    ],
)
def test_status_is_read_as_wait_has_it(status: int, exit_code: int | None, signal: int | None, core: bool) -> None:
    """Exit code or signal, never both, and a core only with a signal."""
    record = decode(struct.pack("=IIQQQII", 2, 7, 1, 3, 2, status, 0))
    assert record == Exit(pid=7, start_boottime=1, boottime=3, image_boottime=2, status=status)
    assert isinstance(record, Exit)
    assert (record.exit_code, record.signal, record.core_dumped) == (exit_code, signal, core)


@pytest.mark.parametrize("raw", [b"", b"\1\0", exec_record()[:-1], exec_record()[:60], struct.pack("=II", 2, 7)])
def test_record_that_is_cut_short_is_refused(raw: bytes) -> None:
    """Never half a record."""
    with pytest.raises(RecordError):
        decode(raw)


def test_unknown_kind_is_refused() -> None:
    """A record of another version of the probe is not guessed at."""
    with pytest.raises(RecordError, match="kind 3"):
        decode(struct.pack("=I", 3) + bytes(100))


def test_boot_time_is_told_in_utc() -> None:
    """Now is now, and what lies between two boot times lies between their instants, to the microsecond."""
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    before = datetime.now(timezone.utc)
    (instant,) = BootClock().utc(now)
    assert abs(instant - before) < timedelta(seconds=1)
    start, end = BootClock().utc(now - 12_345_678_000, now)
    assert end - start == timedelta(microseconds=12_345_678)
    assert end.tzinfo is timezone.utc


def test_stepped_clock_changes_no_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour's step between start and end moves both: the end is right by the new clock, the duration true."""
    real = time.clock_gettime_ns

    def stepped(clock: int) -> int:
        return real(clock) + (3_600_000_000_000 if clock == time.CLOCK_REALTIME else 0)

    clock = BootClock()
    now = real(time.CLOCK_BOOTTIME)
    (unstepped,) = clock.utc(now)
    monkeypatch.setattr(time, "clock_gettime_ns", stepped)
    start, end = clock.utc(now - 5_000_000_000, now)
    assert end - start == timedelta(seconds=5)
    assert abs(end - unstepped - timedelta(hours=1)) < timedelta(milliseconds=50)
