"""eclone() where clone3 is hidden, as seccomp filters of containers do: ns_last_pid takes over, verified."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from crtool.abi import clone as flag
from crtool.kernel import ns_last_pid
from crtool.kernel.clone import why_no_set_tid
from crtool.kernel.eclone import CloneArgs, bear, eclone
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.mount import make_private, mount, mount_proc
from crtool.kernel.syscall import syscall

from .forked import become_nobody, born, free_pid, hide_clone3, holding, in_child

CHLD = int(signal.SIGCHLD)


def hidden(function, answer=errno.ENOSYS):
    """What *function* returns in a process in which clone3 is answered by *answer*."""

    def attempt():
        hide_clone3(answer)
        return function()

    return in_child(attempt)


def alone(function):
    """The same in a PID namespace of our own.

    Elsewhere somebody else's process may take the number between our writing and our birth, and keep it: EBUSY.
    """

    def first():
        make_private()
        mount_proc()
        return hidden(function)

    return in_child(first, lambda: eclone(CHLD | flag.CLONE_NEWPID | flag.CLONE_NEWNS))


def refused(*pids, flags=0):
    with pytest.raises(OSError, match="eclone: ") as found:
        born(*pids, flags=flags)
    return found.value.errno, found.value.strerror


@contextmanager
def noisy_neighbour() -> Iterator[None]:
    """A process that forks and waits all the time."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        while True:
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # its last child, too, may be ours by now
            while True:
                os.waitpid(-pid, 0)


def test_set_tid_is_here():
    assert why_no_set_tid() is None


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EPERM])
def test_the_pid_that_was_chosen(answer):
    number, outside, inside = alone(lambda: hidden(lambda: (number := free_pid(), *born(number)), answer))

    assert number == outside == inside


@pytest.mark.parametrize("pids", [(), (0,)])
def test_no_pid_that_was_chosen(pids):
    outside, inside = hidden(lambda: born(*pids))

    assert outside == inside


def test_the_first_process_of_a_new_namespace():
    number, *found = alone(lambda: (number := free_pid(), *born(number, flags=flag.CLONE_NEWPID)))

    assert [number, 1] == found


def test_a_pid_that_is_taken():
    with holding(free_pid()) as number:
        code, words = hidden(lambda: refused(number))

    assert errno.EBUSY == code
    assert f"PID {number} is taken" in words


def test_out_of_range():
    assert errno.EINVAL == hidden(lambda: refused(1 << 22))[0]


def test_a_noisy_neighbour():
    def births():
        with noisy_neighbour():
            return [(number := free_pid(), *born(number)) for _ in range(40)]

    assert all(number == outside == inside for number, outside, inside in alone(births))


def test_a_neighbour_who_is_always_faster(monkeypatch):
    monkeypatch.setattr(ns_last_pid, "_PATIENCE", 0.05)
    number = free_pid()
    # What the neighbour would do: the cursor is elsewhere at every birth.
    monkeypatch.setattr(ns_last_pid, "prepared", lambda *_: lambda: 0)
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)

    code, words = hidden(lambda: refused(number))

    assert errno.EAGAIN == code
    assert f"PID {number}" in words


def test_the_wrong_ones_run_nothing_and_are_waited_for(monkeypatch):
    number = free_pid()
    tries = iter([number + 30, number + 20, number - 1])

    def births():
        def prepared(name, *args):
            def write():
                os.pwrite(args[0], b"%d" % next(tries), 0)
                return 0

            return write

        monkeypatch.setattr(ns_last_pid, "prepared", prepared)
        found = born(number)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, 0)
        return found, [ns_last_pid.is_taken(number + away) for away in (31, 21)]

    assert ((number, number), [False, False]) == alone(births)


@pytest.mark.parametrize("name", ["CLONE_FILES", "CLONE_VFORK", "CLONE_PARENT"])
def test_flags_that_do_not_go_together_with_it(name):
    code, words = hidden(lambda: refused(free_pid(), flags=getattr(flag, name)))

    assert errno.ENOSYS == code
    assert name in words


def test_more_than_one_level():
    def within():
        hide_clone3()
        return refused(7, 8)

    code, words = in_child(within, lambda: eclone(CHLD | flag.CLONE_NEWPID))
    assert errno.ENOSYS == code
    assert "reaches one PID namespace" in words


def test_children_of_another_namespace():
    def attempt():
        syscall("unshare", flag.CLONE_NEWPID)
        born()  # its first process; it has ended
        return refused(5)

    assert errno.ENOSYS == hidden(attempt)[0]


def test_neither_way_says_what_is_missing():
    def attempt():
        syscall("unshare", flag.CLONE_NEWNS)
        make_private()
        mount("/proc/sys", "/proc/sys", "", 4096)  # MS_BIND
        mount("none", "/proc/sys", "", 4096 | 32 | 1)  # MS_BIND | MS_REMOUNT | MS_RDONLY: as in a container
        return refused(free_pid())

    code, words = hidden(attempt)
    assert errno.ENOSYS == code
    assert "clone3 is missing, or hidden by a seccomp filter" in words
    assert "/proc/sys/kernel/ns_last_pid cannot be written (Read-only file system)" in words
    assert "\n" not in words


def test_no_capability_comes_first():
    def attempt():
        become_nobody()
        return refused(0)[0]

    assert errno.EPERM == hidden(attempt)


def test_what_clone_cannot_say():
    def attempt():
        with pytest.raises(OSError, match="eclone: ") as found:
            in_child(os.getpid, lambda: bear(EcloneRequest(flag.CLONE_NEWTIME, CHLD)))
        return found.value.errno

    assert errno.ENOSYS == hidden(attempt)


def test_tid_pointers():
    import ctypes
    import mmap
    import struct

    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    args = CloneArgs(parent_tid_ptr=address, child_tid_ptr=address + 8)
    flags = flag.CLONE_PARENT_SETTID | flag.CLONE_CHILD_SETTID
    number, *found = alone(lambda: (number := free_pid(), *born(number, flags=flags, args=args)))

    assert [number, number] == found
    assert (number, number) == struct.unpack_from("<i4xi", memory)
