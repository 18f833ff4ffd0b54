"""What guards each input tells what that one has done from what others do meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from crtool.kernel.prctl import child_subreaper, is_child_subreaper

from .examine import Limits


@pytest.fixture(autouse=True)
def adopting() -> Iterator[None]:
    """As after the tests of whole trees: orphans come to this process."""
    with child_subreaper():
        yield


def child(*, lives: bool = True) -> int:
    """A child that sleeps until it is killed, or is a zombie at once."""
    pid = os.fork()
    if pid == 0:
        if lives:
            signal.pause()
        os._exit(0)
    return pid


@pytest.mark.parametrize("lives", [True, False])
def test_a_child_of_the_input_is_found(lives: bool) -> None:
    old = child()
    new = 0
    try:
        with pytest.raises(AssertionError, match="somebody was born") as caught, Limits() as limits, limits.input():
            new = child(lives=lives)
    finally:
        for pid in filter(None, (old, new)):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    assert str(caught.value) == f"somebody was born: [{new}]"


def test_who_was_there_before_does_not_count() -> None:
    living, dead = child(), child(lives=False)
    os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
    try:
        with Limits() as limits, limits.input():
            pass
    finally:
        os.kill(living, signal.SIGKILL)
        for pid in (living, dead):
            os.waitpid(pid, 0)


def test_an_orphan_of_others_does_not_come_to_the_input() -> None:
    here, there = os.pipe()
    parent = os.fork()
    if parent == 0:
        orphan = os.fork()
        if orphan == 0:
            signal.pause()
        os.write(there, orphan.to_bytes(4, "little"))
        signal.pause()
    orphan = int.from_bytes(os.read(here, 4), "little")
    try:
        with Limits() as limits, limits.input():
            os.kill(parent, signal.SIGKILL)
            os.waitpid(parent, 0)
    finally:
        os.kill(orphan, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(orphan, 0)
        os.close(here)
        os.close(there)

    assert is_child_subreaper()
