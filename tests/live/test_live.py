"""Live checkpoints: when the target is forked, when it is not, and what is said of it."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from crtool.engine import live as live_module
from crtool.engine import shortage
from crtool.engine.checkpoint import checkpoint
from crtool.engine.verify import verify
from crtool.errors import ObstacleError, TargetDied, TargetError
from crtool.kernel.syscall import memory_address, syscall
from crtool.kernel.wait import WaitStatus, wait_for_stop
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.procfs.tasks import processes
from crtool.puppet import twin as twin_module

from .harness.processes import descendants, reap_all
from .victim import sleeper

NOBODY = 65534
MEMORY = 8 << 20


@contextmanager
def target(prelude: Callable[[mmap.mmap], None] = lambda _: None) -> Iterator[int]:
    """A child of this process with 8 MiB of memory, without any descriptors, that sleeps after *prelude*."""

    def prepare() -> mmap.mmap:
        memory = mmap.mmap(-1, MEMORY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, MEMORY, 4096):
            memory[at : at + 8] = at.to_bytes(8, "little")
        prelude(memory)
        return memory

    with sleeper(prepare) as pid:
        yield pid


def children(pid: int) -> list[int]:
    """The PIDs of the children of a process."""
    found = []
    for other in processes():
        with suppress(TargetDied):
            if stat_file.parse(read(other, "stat")).ppid == pid:
                found.append(other)
    return found


@pytest.fixture
def image(tmp_path: Path) -> str:
    return str(tmp_path / "image.crt")


@pytest.mark.parametrize(("live", "forked"), [("auto", 1), ("fork", 1), ("off", 0)])
def test_a_target_that_goes_on_is_forked_unless_that_is_not_wanted(image: str, live: str, forked: int) -> None:
    with target() as pid:
        result = checkpoint(pid, image, live=live)  # type: ignore[arg-type]

        assert forked == result.forked
        assert () == result.warnings
        assert [] == children(pid)
        verify(image)


def test_a_target_that_waits_is_not_forked(image: str) -> None:
    with target() as pid:
        assert 0 == checkpoint(pid, image, leave="stopped", live="fork").forked


def test_a_target_that_may_not_fork_is_copied_while_it_stands_still(image: str) -> None:
    def become_limited(_: mmap.mmap) -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        os.setresuid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE

    with target(become_limited) as pid:
        result = checkpoint(pid, image)

        assert 0 == result.forked
        assert f"PID {pid} cannot be forked (a limit on the number of processes is reached)" in result.warnings[0]
        assert [] == children(pid)
        assert stat_file.parse(read(pid, "stat")).state == "S"
        verify(image)


def test_a_target_whose_writes_could_use_up_memory_is_not_forked(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "room_left", lambda _: 1 << 20)
    with target() as pid:
        result = checkpoint(pid, image)

        assert 0 == result.forked
        assert f"PID {pid} is not forked (1 MiB of memory are left" in result.warnings[0]
        assert 1 == checkpoint(pid, image, force=True, live="fork").forked


def test_a_target_whose_children_get_a_new_pid_namespace_is_not_forked(image: str) -> None:
    """A twin would be the first process there, and nobody could be born after its death."""

    def unshare(_: mmap.mmap) -> None:
        os_unshare = ctypes.CDLL(None, use_errno=True).unshare
        assert os_unshare(0x20000000) == 0

    with target(unshare) as pid:
        try:
            result = checkpoint(pid, image)
        except ObstacleError:
            return  # refused by name, since it could not be rebuilt
        assert 0 == result.forked
        assert "pid namespace of their own" in result.warnings[0]


@pytest.mark.machine("userfaultfd")
def test_memory_that_somebody_outside_watches_is_an_obstacle(image: str) -> None:
    """Its fork would show nothing of it."""
    ready, said = os.pipe()
    hold, keep = os.pipe()
    before = descendants()

    def be_watched(memory: mmap.mmap) -> None:
        uffd = syscall("userfaultfd", os.O_CLOEXEC)
        api = bytearray(struct.pack("<QQQ", 0xAA, 0, 0))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.ioctl(uffd, ctypes.c_ulong(0xC018AA3F), ctypes.c_ulong(memory_address(memoryview(api)))) == 0
        at = memory_address(memoryview(memory))
        register = bytearray(struct.pack("<QQQQ", at, MEMORY, 1, 0))
        assert libc.ioctl(uffd, ctypes.c_ulong(0xC020AA00), ctypes.c_ulong(memory_address(memoryview(register)))) == 0
        if os.fork() == 0:  # the descriptor lives on in somebody else, outside of the tree
            if os.fork() == 0:
                os.write(said, b"+")
                os.read(hold, 1)
            os._exit(0)
        os.wait()
        os.close(uffd)

    with target(be_watched) as pid:
        try:
            assert b"+" == os.read(ready, 1)
            with pytest.raises(ObstacleError, match="is watched by a userfaultfd"):
                checkpoint(pid, image)
        finally:
            os.write(keep, b"!")
            for fd in (ready, said, hold, keep):
                os.close(fd)
            reap_all(descendants() - {*before, pid})


def test_a_twin_that_is_killed_is_named_and_the_target_is_unharmed(image: str) -> None:
    with target() as pid:
        killer = os.fork()
        if killer == 0:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                for child in children(pid):
                    os.kill(child, signal.SIGKILL)
                    os._exit(0)
            os._exit(1)
        with suppress(TargetError):  # unless it was copied already
            checkpoint(pid, image, live="fork")
        os.waitpid(killer, 0)

        assert [] == children(pid)
        assert stat_file.parse(read(pid, "stat")).state == "S"


def test_a_twin_that_is_killed_at_birth_is_buried(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill_and_wait(tid: int) -> WaitStatus:
        os.kill(tid, signal.SIGKILL)
        return wait_for_stop(tid)

    monkeypatch.setattr(twin_module, "wait_for_stop", kill_and_wait)
    with target() as pid:
        with suppress(TargetError):
            checkpoint(pid, image, live="fork")

        assert [] == children(pid)
        assert stat_file.parse(read(pid, "stat")).state == "S"


@pytest.mark.parametrize("looks", [0, 1])
def test_a_target_stands_still_when_memory_gets_short(image: str, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """Whether that is so at once, or only after some *looks*, while its fork is being written."""
    room = iter([1 << 40] * looks)
    monkeypatch.setattr(shortage, "room_left", lambda _: next(room, 0))
    monkeypatch.setattr(shortage, "_PAUSE", 0.0)
    states: list[str] = []
    with target() as pid:
        result = checkpoint(
            pid, image, live="fork", progress=lambda _: states.append(stat_file.parse(read(pid, "stat")).state)
        )

        assert 1 == result.forked
        assert states and {"t"} == set(states)
        assert "memory got short: everything stood still for another " in result.warnings[0]
        assert "S" == stat_file.parse(read(pid, "stat")).state
        assert [] == children(pid)
        verify(image)


def test_a_target_that_cannot_be_stopped_when_memory_gets_short_is_written_all_the_same(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise TargetError("it is gone", "")

    monkeypatch.setattr(shortage, "room_left", refuse)
    with target() as pid:
        assert () == checkpoint(pid, image, live="fork").warnings
        verify(image)
