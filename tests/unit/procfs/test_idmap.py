"""/proc/PID/uid_map and gid_map."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import idmap
from crtool.procfs.error import ProcfsError
from crtool.procfs.idmap import IdRange
from crtool.procfs.read import read

_MAP = b"         0       1000          1\n         1     100000      65536\n"


def test_parse() -> None:
    assert (IdRange(0, 1000, 1), IdRange(1, 100000, 65536)) == idmap.parse(_MAP)
    assert () == idmap.parse(b"")
    assert (IdRange(0, 0, 4294967295),) == idmap.parse(b"         0          0 4294967295\n")


@pytest.mark.parametrize("line", [b"0 0", b"0 0 x", b"1 2 3 4"])
def test_bad_line(line: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        idmap.parse(_MAP + line + b"\n")

    assert line == caught.value.value


def test_translation() -> None:
    ranges = idmap.parse(_MAP)

    assert [1000, 100000, 165535, None] == [idmap.to_outside(ranges, number) for number in (0, 1, 65536, 65537)]
    assert [0, 1, 65536, None, None] == [
        idmap.to_inside(ranges, number) for number in (1000, 100000, 165535, 165536, 1001)
    ]


@given(st.integers(0, 70_000))
def test_there_and_back(number: int) -> None:
    ranges = idmap.parse(_MAP)
    outside = idmap.to_outside(ranges, number)

    assert (outside is None) == (number > 65536)
    assert outside is None or number == idmap.to_inside(ranges, outside)


def test_this_process() -> None:
    assert idmap.to_outside(idmap.parse(read(os.getpid(), "uid_map")), os.getuid()) is not None
    assert idmap.to_outside(idmap.parse(read(os.getpid(), "gid_map")), os.getgid()) is not None
