"""Timers that expire at the very moment when they are looked at, and those that are told that the clock was set."""

from __future__ import annotations

import ctypes
import os
import struct
import time

import pytest

from crtool.kernel import timerfd
from crtool.procfs.fdinfo import parse
from crtool.procfs.read import read
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.timerfd import dump, restore

FAST = 100_000
"""Nanoseconds: a beat that is often due, and not yet noted, while somebody asks."""


def open_file(fd: int) -> OpenFile:
    info = parse(read(os.getpid(), f"fdinfo/{fd}"))
    return OpenFile(os.getpid(), fd, fd, b"anon_inode:[timerfd]", info, os.fstat(fd))


def nothing_is_lost(_file: OpenFile, what: str) -> None:
    raise AssertionError(what)


def test_a_timer_that_beats_is_never_taken_for_one_that_is_disarmed() -> None:
    fd = timerfd.create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
    try:
        timerfd.settime(fd, 0, FAST, FAST)
        file = open_file(fd)
        assert all(0 < dump(file, nothing_is_lost).left <= FAST for _ in range(3000))
    finally:
        os.close(fd)


def set_clock() -> None:
    """By one nanosecond: the kernel tells of that as of any other change, and nobody else minds."""
    adjust = ctypes.create_string_buffer(208)  # struct timex
    struct.pack_into("<I", adjust, 0, 0x2100)  # modes: ADJ_SETOFFSET | ADJ_NANO
    struct.pack_into("<q", adjust, 80, 1)  # time.tv_usec
    assert 0 <= ctypes.CDLL(None).adjtimex(adjust)


@pytest.mark.machine("CAP_SYS_TIME")
@pytest.mark.parametrize("expired", [False, True], ids=["waiting", "expired"])
def test_that_the_clock_was_set_is_said_to_be_lost(expired: bool) -> None:
    told: list[str] = []
    fd = timerfd.create(time.CLOCK_REALTIME, os.O_NONBLOCK)
    try:
        flags = timerfd.TFD_TIMER_ABSTIME | timerfd.TFD_TIMER_CANCEL_ON_SET
        timerfd.settime(fd, flags, time.time_ns() + (0 if expired else 3600 * 10**9), 0)
        dump(open_file(fd), nothing_is_lost)
        set_clock()
        record = dump(open_file(fd), lambda _, what: told.append(what))
        with pytest.raises(OSError, match="Operation canceled"):
            os.read(fd, 8)
        made = restore(record)
        assert record.ticks == int.from_bytes(os.read(made, 8), "little") == 1 + expired  # it wakes its reader
        os.close(made)
    finally:
        os.close(fd)
    assert 1 == len(told)
    assert "that the clock was set" in told[0]
