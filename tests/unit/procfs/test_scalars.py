"""The files that hold one number or one word."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import scalars
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read

_ALL: tuple[Callable[[bytes], object], ...] = (
    scalars.personality,
    scalars.timerslack_ns,
    scalars.oom_score_adj,
    scalars.coredump_filter,
    scalars.loginuid,
    scalars.sessionid,
    scalars.setgroups,
    scalars.comm,
)


@pytest.mark.parametrize(
    ("function", "data", "value"),
    [
        (scalars.personality, b"00440000\n", 0x0440000),
        (scalars.timerslack_ns, b"50000\n", 50000),
        (scalars.oom_score_adj, b"-1000\n", -1000),
        (scalars.coredump_filter, b"00000033\n", 0x33),
        (scalars.coredump_filter, b"", None),
        (scalars.loginuid, b"1000", 1000),
        (scalars.loginuid, b"4294967295", None),
        (scalars.sessionid, b"3", 3),
        (scalars.sessionid, b"4294967295", None),
        (scalars.setgroups, b"allow\n", True),
        (scalars.setgroups, b"deny\n", False),
        (scalars.comm, b"a\nb \n", b"a\nb "),
    ],
)
def test_value(function: Callable[[bytes], object], data: bytes, value: object) -> None:
    assert value == function(data)


@pytest.mark.parametrize("function", _ALL)
def test_bad(function: Callable[[bytes], object]) -> None:
    with pytest.raises(ProcfsError) as caught:
        function(b"?")

    assert (function.__name__, b"?") == (caught.value.file, caught.value.value)


@given(st.sampled_from(_ALL), st.binary())
def test_any_bytes(function: Callable[[bytes], object], data: bytes) -> None:
    try:
        function(data)
    except ProcfsError as error:
        assert error.value == data


def test_this_process() -> None:
    pid = os.getpid()
    libc = ctypes.CDLL(None)

    assert libc.personality(0xFFFFFFFF) == scalars.personality(read(pid, "personality"))
    assert libc.prctl(30, 0, 0, 0, 0) == scalars.timerslack_ns(read(pid, "timerslack_ns"))  # PR_GET_TIMERSLACK
    assert -1000 <= scalars.oom_score_adj(read(pid, "oom_score_adj")) <= 1000
    assert Path("/proc/self/comm").read_bytes()[:-1] == scalars.comm(read(pid, "comm"))
    assert isinstance(scalars.setgroups(read(pid, "setgroups")), bool)


def test_coredump_filter_of_this_process() -> None:
    file = Path("/proc/self/coredump_filter")
    old = scalars.coredump_filter(read(os.getpid(), "coredump_filter"))
    file.write_text("0x41")
    try:
        assert 0x41 == scalars.coredump_filter(read(os.getpid(), "coredump_filter"))
    finally:
        file.write_text(hex(old or 0))
