"""The inotify stream and real watches."""

import os
import queue
import struct
import threading
from contextlib import closing
from pathlib import Path

import pyinotify
import pytest

from watcher_agents.filemon.inotify import SOURCE_MASK, Inotify, InotifyEvent, ReadEvents, parse_events


def test_events_are_taken_apart_whatever_bytes_their_names_have() -> None:
    buffer = struct.pack("iIII16s", 1, pyinotify.IN_CLOSE_WRITE, 0, 16, b"\xff\n.c") + struct.pack(
        "iIII", -1, pyinotify.IN_Q_OVERFLOW, 0, 0
    )
    assert parse_events(buffer) == [
        InotifyEvent(1, pyinotify.IN_CLOSE_WRITE, b"\xff\n.c"),
        InotifyEvent(-1, pyinotify.IN_Q_OVERFLOW, b""),
    ]


def test_a_watch_stays_with_the_directory_it_was_opened_on(tmp_path: Path) -> None:
    events: queue.SimpleQueue[InotifyEvent] = queue.SimpleQueue()
    (tmp_path / "real").mkdir()
    fd = os.open(tmp_path / "real", os.O_PATH | os.O_DIRECTORY)
    (tmp_path / "real").rename(tmp_path / "moved")
    (tmp_path / "real").mkdir()

    def put(read: ReadEvents) -> None:
        for event in read.events:
            events.put(event)

    with closing(Inotify()) as inotify:
        watch = inotify.watch(fd, SOURCE_MASK)
        assert inotify.watch(fd, SOURCE_MASK) == watch
        reader = threading.Thread(target=inotify.read, args=(put, lambda: False))
        reader.start()
        (tmp_path / "real" / "elsewhere.c").touch()
        (tmp_path / "moved" / "\udcff.c").touch()
        assert events.get(timeout=10) == InotifyEvent(watch, pyinotify.IN_CREATE, b"\xff.c")
        inotify.stop_reading()
        reader.join()
    os.close(fd)


def test_what_cannot_be_watched_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_PATH)
    with closing(Inotify()) as inotify, pytest.raises(NotADirectoryError):
        inotify.watch(fd, SOURCE_MASK)
    os.close(fd)


def test_while_nothing_more_can_be_taken_events_stay_in_the_queue(tmp_path: Path) -> None:
    taken: queue.SimpleQueue[ReadEvents] = queue.SimpleQueue()
    is_full = threading.Event()
    is_full.set()
    asked = threading.Event()

    def full() -> bool:
        asked.set()
        return is_full.is_set()

    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    with closing(Inotify()) as inotify:
        watch = inotify.watch(fd, SOURCE_MASK)
        reader = threading.Thread(target=inotify.read, args=(taken.put, full))
        reader.start()
        (tmp_path / "a.c").touch()
        assert asked.wait(10)
        assert taken.empty()
        is_full.clear()
        assert taken.get(timeout=10).events[0] == InotifyEvent(watch, pyinotify.IN_CREATE, b"a.c")
        inotify.stop_reading()
        reader.join()
    os.close(fd)
