"""/proc/PID/syscall."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.arch import cpu
from crtool.procfs import maps, stat, syscall
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read
from crtool.procfs.syscall import Blocked


def test_sample(sample: Callable[[str], bytes]) -> None:
    args = (0, 0, 0x7FFC1F141D40, 0x7FFC1F141D80, 0, 0)

    assert Blocked(230, args, 0x7FFC1F141D28, 0x7FC34C133503) == syscall.parse(sample("syscall"))


def test_running_and_outside_of_a_call() -> None:
    assert syscall.parse(b"running\n") is None
    assert Blocked(-1, (), 0x10, 0x20) == syscall.parse(b"-1 0x10 0x20\n")


@pytest.mark.parametrize(
    "data", [b"", b"walking\n", b"0 0x1 0x2\n", b"-1 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n", b"x 0x0\n"]
)
def test_bad(data: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        syscall.parse(data)

    assert ("syscall", data) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        syscall.parse(data)
    except ProcfsError as error:
        assert error.value == data


def test_a_sleeper(sleeper: int) -> None:
    while stat.parse(read(sleeper, "stat")).state != "S":
        time.sleep(0.001)
    found = syscall.parse(read(sleeper, "syscall"))

    assert found is not None
    assert cpu.NUMBERS["clock_nanosleep"] == found.number
    spans = maps.parse(read(sleeper, "maps"))
    (stack,) = [mapping for mapping in spans if mapping.name == b"[stack]"]
    assert stack.start <= found.stack_pointer < stack.end
    assert any(mapping.execute and mapping.start <= found.program_counter < mapping.end for mapping in spans)


def test_a_zombie(zombie: int) -> None:
    assert Blocked(-1, (), 0, 0) == syscall.parse(read(zombie, "syscall"))


def test_this_process() -> None:
    """A task that looks at itself is in the call by which it looks, or on a CPU."""
    found = syscall.parse(read(os.getpid(), "syscall"))

    assert found is None or cpu.NUMBERS["read"] == found.number
