"""/proc/PID/ns."""

from __future__ import annotations

import ctypes
import dataclasses
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.errors import TargetDied
from crtool.procfs import ns
from crtool.procfs.error import ProcfsError

_CLONE_NEWUTS, _CLONE_NEWPID, _CLONE_NEWNET = 0x04000000, 0x20000000, 0x40000000


@pytest.mark.parametrize(
    ("text", "parsed"), [(b"net:[4026531833]", ("net", 4026531833)), (b"pid_for_children:[1]", ("pid_for_children", 1))]
)
def test_link(text: bytes, parsed: tuple[str, int]) -> None:
    assert parsed == ns.parse_link(text)


@pytest.mark.parametrize("text", [b"", b"net", b"net:[", b"net:[]", b"net:[1", b"net:[x]", b"/a"])
def test_bad_link(text: bytes) -> None:
    with pytest.raises(ProcfsError) as caught:
        ns.parse_link(text)

    assert ("ns", text) == (caught.value.file, caught.value.value)


@given(st.binary())
def test_any_bytes(text: bytes) -> None:
    try:
        _, number = ns.parse_link(text)
    except ProcfsError:
        return
    assert number >= 0


def test_this_process() -> None:
    found = ns.of(os.getpid())

    for name, number in dataclasses.asdict(found).items():
        assert number is None or os.stat(f"/proc/self/ns/{name}").st_ino == number
    assert found.pid == found.pid_for_children
    assert found.user is not None
    assert () == found.differing(ns.of(os.getpid(), os.getpid()))


def test_a_child_shares_all(sleeper: int) -> None:
    assert ns.of(os.getpid()) == ns.of(sleeper)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make namespaces")
@pytest.mark.machine("new namespaces")
def test_new_namespaces() -> None:
    """The namespace for children is announced by unshare, and there once the first of them is born."""
    child = os.fork()
    if not child:
        try:
            before = ns.of(os.getpid())
            if ctypes.CDLL(None).unshare(_CLONE_NEWUTS | _CLONE_NEWPID | _CLONE_NEWNET):
                os._exit(2)
            announced = ns.of(os.getpid())
            reader, writer = os.pipe()
            first = os.fork()
            if not first:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
            born = ns.of(os.getpid())
            inner = ns.of(first)
            os.close(writer)
            os.waitpid(first, 0)
            os._exit(
                0
                if announced.pid_for_children is None
                and before.differing(announced) == ("net", "pid_for_children", "uts")
                and born.pid == before.pid
                and born.pid_for_children == inner.pid != born.pid
                else 1
            )
        finally:
            os._exit(4)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_zombie_has_left_them(zombie: int) -> None:
    with pytest.raises(TargetDied):
        ns.of(zombie)
