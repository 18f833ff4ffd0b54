"""/proc/PID/limits."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import limits
from crtool.procfs.error import ProcfsError
from crtool.procfs.limits import RLIM_INFINITY, Limit
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = limits.parse(sample("limits"))

    assert list(range(16)) == list(found)
    assert Limit(7, "RLIMIT_NOFILE", 1000, 2000) == found[7]
    assert Limit(4, "RLIMIT_CORE", 0, 0) == found[4]
    assert Limit(3, "RLIMIT_STACK", 8388608, RLIM_INFINITY) == found[3]
    assert Limit(13, "RLIMIT_NICE", 0, 0) == found[13]
    assert Limit(15, "RLIMIT_RTTIME", RLIM_INFINITY, RLIM_INFINITY) == found[15]


def test_columns_that_touch() -> None:
    """A number of twenty digits leaves one space."""
    line = b"Max msgqueue size         18446744073709551614 18446744073709551614 bytes     \n"

    assert {12: Limit(12, "RLIMIT_MSGQUEUE", (1 << 64) - 2, (1 << 64) - 2)} == limits.parse(b"head\n" + line)


@pytest.mark.parametrize(
    "line",
    [
        b"Max new thing             1                    2                    things    ",
        b"Max cpu time              1",
        b"Max cpu time              x                    2                    seconds   ",
    ],
)
def test_bad_line(line: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        limits.parse(b"Limit\n" + line + b"\n")

    assert ("limits", line) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        limits.parse(data)
    except ProcfsError as error:
        assert error.value in data


def test_this_process() -> None:
    found = limits.parse(read(os.getpid(), "limits"))

    assert 16 == len(found)
    for limit in found.values():
        number = getattr(resource, limit.name, None)
        if number is not None:
            assert number == limit.number
        soft, hard = (value % (1 << 64) for value in resource.getrlimit(limit.number))
        assert (soft, hard) == (limit.soft, limit.hard)
