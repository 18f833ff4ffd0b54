"""/proc/PID/timers."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import timers
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read
from crtool.procfs.timers import Notify, Timer

_SIGEV_THREAD_ID = 4


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = timers.parse(sample("timers"))

    assert (
        Timer(4, signal.SIGALRM, 4, Notify.SIGNAL, False, 22868, -6),
        Timer(3, 34, 0xDEADBEEF, Notify.THREAD, False, 22868, 7),
        Timer(2, 34, 0xDEADBEEF, Notify.SIGNAL, True, 22868, 1),
        Timer(1, 34, 0xDEADBEEF, Notify.NONE, False, 22868, 1),
        Timer(0, 34, 0xDEADBEEF, Notify.SIGNAL, False, 22868, 0),
    ) == found
    assert [0, 2, 4, 1, 0] == [timer.sigev_notify for timer in found]


def test_nothing() -> None:
    assert () == timers.parse(b"")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ID: 4", b"Id: 4"),
        (b"ClockID: 0\n", b""),
        (b"14/0000000000000004", b"14"),
        (b"signal/tid.22868", b"signal/tod.22868"),
        (b"none/pid", b"nine/pid"),
        (b"ClockID: -6\n", b"ClockID: -6\n\n"),
    ],
)
def test_bad(sample: Callable[[str], bytes], old: bytes, new: bytes) -> None:
    assert old in sample("timers")
    with pytest.raises(ProcfsError) as caught:
        timers.parse(sample("timers").replace(old, new))

    assert "timers" == caught.value.file


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        timers.parse(data)
    except ProcfsError as error:
        assert error.value in data


@pytest.mark.machine("posix timers in /proc")
@pytest.mark.parametrize("how", [Notify.SIGNAL, Notify.NONE, Notify.SIGNAL | _SIGEV_THREAD_ID])
def test_this_process(how: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    timer_create, timer_delete = 222, 226  # on x86-64
    if os.uname().machine != "x86_64":
        timer_create, timer_delete = 107, 111
    event = ctypes.create_string_buffer(
        struct.pack("QiiI44x", 0xFEED, signal.SIGRTMIN, how, threading.get_native_id()), 64
    )
    identity = ctypes.c_int()
    assert libc.syscall(timer_create, 1, event, ctypes.byref(identity)) == 0
    try:
        (timer,) = [
            timer for timer in timers.parse(read(os.getpid(), "timers", missing=b"")) if timer.id == identity.value
        ]
    finally:
        libc.syscall(timer_delete, identity)

    assert (0xFEED, signal.SIGRTMIN, how, 1) == (timer.value, timer.signal, timer.sigev_notify, timer.clockid)
    assert os.getpid() == timer.target
