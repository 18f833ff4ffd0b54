"""Timers that expire at the very moment when they are looked at."""

from __future__ import annotations

import os
import time

from crtool.kernel import timerfd
from crtool.procfs.fdinfo import parse
from crtool.procfs.read import read
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.timerfd import dump

FAST = 100_000
"""Nanoseconds: a beat that is often due, and not yet noted, while somebody asks."""


def test_a_timer_that_beats_is_never_taken_for_one_that_is_disarmed() -> None:
    fd = timerfd.create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
    try:
        timerfd.settime(fd, 0, FAST, FAST)
        info = parse(read(os.getpid(), f"fdinfo/{fd}"))
        file = OpenFile(os.getpid(), fd, fd, b"anon_inode:[timerfd]", info, os.fstat(fd))
        assert all(0 < dump(file).left <= FAST for _ in range(3000))
    finally:
        os.close(fd)
