"""/proc/PID/cgroup."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import cgroup
from crtool.procfs.cgroup import Membership
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import read


def test_sample(sample: Callable[[str], bytes]) -> None:
    found = cgroup.parse(sample("cgroup"))

    assert 10 == len(found)
    assert Membership(9, ("name=systemd",), b"/", False) == found[0]
    assert Membership(4, ("memory",), b"/jobs/a:b", False) == found[5]
    assert Membership(0, (), b"/", False) == found[9]
    assert [found[9]] == [entry for entry in found if entry.is_unified]


def test_several_controllers_and_a_removed_group() -> None:
    assert (Membership(5, ("cpuacct", "cpu"), b"/daemons", True),) == cgroup.parse(
        b"5:cpuacct,cpu:/daemons (deleted)\n"
    )


@pytest.mark.parametrize("line", [b"5:cpu", b"x:cpu:/", b"nonsense"])
def test_bad_line(line: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        cgroup.parse(b"0::/\n" + line + b"\n")

    assert ("cgroup", line) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        cgroup.parse(data)
    except ProcfsError as error:
        assert error.value in data


def test_this_process() -> None:
    for entry in cgroup.parse(read(os.getpid(), "cgroup", missing=b"")):
        assert entry.path.startswith(b"/")
        assert entry.is_unified or entry.controllers
