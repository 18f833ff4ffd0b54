"""Who can get no memory any more is ended, wherever he has gone; and nobody reads zeros in its place."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from crtool.engine.end_lazy import end_all
from crtool.kernel.process import open_pidfd
from crtool.resources.memory import lazy
from crtool.resources.memory.lazy import LazySpace

from .harness.processes import Deadline, all_ended
from .lazy_child import PAGE, LazyChild, lazy_child

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hear of forks by a userfaultfd")


@pytest.fixture(autouse=True)
def everybody_ends() -> Iterator[None]:
    with all_ended():
        yield


def daemon(memory: memoryview, said: int) -> None:
    """Leaves a grandchild, which looks at memory that is still to come, and tells what it is."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(said, b"born %d\n" % os.getpid())
            os.write(said, b"read %d\n" % memory[PAGE])
            signal.pause()
        os._exit(0)
    os.wait()
    os._exit(0)


def doors_after(child: LazyChild, births: int) -> list[int]:
    """The userfaultfds when *births* forks have been heard of."""
    spaces = [LazySpace(child.door, [])]
    deadline = Deadline(20, "the forks")

    def heard() -> bool:
        for space in [*spaces]:
            spaces.extend(space.hear())
        return len(spaces) == 1 + births

    deadline.wait_until(heard)
    return [space.door for space in spaces]


def test_a_daemon_whose_parents_have_ended_is_found() -> None:
    with lazy_child(daemon) as child:
        root = open_pidfd(child.pid, 0)
        doors = doors_after(child, 2)
        pid = int(child.line().split()[1])
        os.waitpid(child.pid, 0)
        assert [lazy.is_gone(door) for door in doors] == [True, True, False]
        bystander = os.fork()
        if bystander == 0:
            signal.pause()

        end_all([root], doors)

        assert child.line() == b""
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)  # it has come to us
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)
        for fd in (root, *doors[1:]):
            os.close(fd)


def reader(memory: memoryview, said: int) -> None:
    """Looks at memory that is still to come."""
    os.write(said, b"read %d\n" % memory[PAGE])


def test_another_program_whose_memory_is_watched_is_left_alone() -> None:
    with lazy_child(reader) as ours, lazy_child(reader) as other:
        root = open_pidfd(ours.pid, 0)

        end_all([root], [ours.door])

        assert os.waitpid(ours.pid, 0)[1] == signal.SIGKILL
        time.sleep(0.1)
        assert os.waitpid(other.pid, os.WNOHANG) == (0, 0)
        assert not lazy.is_gone(other.door)
        assert [ours.line(), ours.door] == [b"", ours.door]
        os.close(root)


def test_who_has_living_parents_is_found_below_them() -> None:
    def family(memory: memoryview, said: int) -> None:
        if os.fork() == 0:
            os.setsid()
            os.write(said, b"born %d\n" % os.getpid())
        os.write(said, b"read %d\n" % memory[PAGE])
        signal.pause()

    with lazy_child(family) as child:
        root = open_pidfd(child.pid, 0)
        doors = doors_after(child, 1)
        child.line()

        end_all([root], doors)

        assert child.line() == b""
        assert [lazy.is_gone(door) for door in doors] == [True, True]
        os.waitpid(child.pid, 0)
        for fd in (root, *doors[1:]):
            os.close(fd)
