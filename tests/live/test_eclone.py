"""eclone(): the contract as a table, and the pitfalls one by one."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import resource
import signal
import struct
import sys
import threading

import pytest

import crtool
from crtool.abi import clone as flag
from crtool.kernel.eclone import CloneArgs, CloneArgsV12, clone_with_pids, eclone
from crtool.kernel.eclone_limits import pid_max
from crtool.kernel.fork import libc_tid_address

from .forked import (
    become_nobody,
    born,
    drop_capability,
    free_pid,
    holding,
    in_child,
    map_to_root,
    nested,
    outermost,
    refused,
)

CHLD = int(signal.SIGCHLD)
LAST, ARTICLE = 48, 56


# The errors of the contract, in the order in which the code meets them: each case has all the faults that are below it
# in the table, as far as they go together.
TABLE = [
    ("args_size", CHLD | 0x1000, None, 47, None, errno.EINVAL),
    ("args unreadable", CHLD | 0x1000, 8, LAST, None, errno.EFAULT),
    ("args null", CHLD | 0x1000, None, ARTICLE, None, errno.EFAULT),
    ("reserved0", CHLD | 0x1000, CloneArgs(reserved0=1, nr_pids=99), None, None, errno.EINVAL),
    ("flags high", CHLD | 0x1000, CloneArgs(clone_flags_high=1, nr_pids=99), None, None, errno.EINVAL),
    ("reserved1", CHLD | 0x1000, CloneArgsV12(reserved1=1, nr_pids=99), None, None, errno.EINVAL),
    ("stack size", CHLD | 0x1000, CloneArgs(child_stack_size=1, nr_pids=99), None, None, errno.EINVAL),
    ("new user thread", flag.CLONE_NEWUSER | flag.CLONE_THREAD, CloneArgs(nr_pids=99), None, None, errno.EINVAL),
    ("more than 32 levels", CHLD | 0x1000, CloneArgs(nr_pids=33), None, None, errno.EINVAL),
    ("nr_pids huge", CHLD | 0x1000, CloneArgs(nr_pids=0xFFFFFFFF), None, None, errno.EINVAL),
    ("pids null", CHLD | 0x1000, CloneArgs(nr_pids=1), None, None, errno.EFAULT),
    ("pids unreadable", CHLD | 0x1000, CloneArgs(nr_pids=1), None, 8, errno.EFAULT),
    ("pids too short", CHLD | 0x1000, CloneArgs(nr_pids=1), None, (), errno.EFAULT),
    ("changed flag", CHLD | 0x1000, CloneArgs(), None, (-1,), errno.EINVAL),
    ("flag combination", CHLD | flag.CLONE_NEWNS | flag.CLONE_FS, CloneArgs(), None, (), errno.EINVAL),
    ("negative", CHLD, CloneArgs(), None, (-1,), errno.EINVAL),
    ("beyond pid_t", CHLD, CloneArgs(), None, (1 << 32,), errno.EINVAL),
    ("out of range", CHLD, CloneArgs(), None, (pid_max(),), errno.EINVAL),
    ("taken", CHLD, CloneArgs(), None, (1,), errno.EBUSY),
    ("taken by us", CHLD, CloneArgsV12(), None, (os.getpid(),), errno.EBUSY),
]


@pytest.mark.parametrize(
    ("flags", "args", "size", "pids", "number"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_errors_in_their_order(flags, args, size, pids, number):
    assert number == refused(flags, args, size, pids)[0]


@pytest.mark.parametrize(
    ("pids", "flags", "number"),
    [
        ((0,), 0, errno.EPERM),  # even if all are 0
        ((1,), 0, errno.EPERM),  # taken
        ((-1,), 0, errno.EPERM),  # no PID
        ((0,), 0x1000, errno.EPERM),  # before the flags
        ((), 0x1000, errno.EINVAL),  # no PID, no privilege needed
    ],
)
def test_without_privilege(pids, flags, number):
    def attempt():
        become_nobody()
        return refused(CHLD | flags, CloneArgs(), None, pids)[0]

    assert number == in_child(attempt)


def test_without_privilege_and_without_pids():
    def attempt():
        become_nobody()
        return born()

    outside, inside = in_child(attempt)
    assert outside == inside


def test_whatever_clone_answers():
    """EAGAIN here: the user may have no more processes."""

    def attempt():
        become_nobody()
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        return refused(CHLD, CloneArgs(), None, ())[0]

    assert errno.EAGAIN == in_child(attempt)


@pytest.mark.parametrize(
    ("bit", "name"),
    [(0x1000, "CLONE_PIDFD"), (0x02000000, "CLONE_NEWCGROUP"), (0x00400000, "CLONE_DETACHED"), (0x80, "CLONE_NEWTIME")],
)
def test_bits_that_have_changed_their_meaning_are_refused_by_name(bit, name):
    number, words = refused(CHLD | bit, CloneArgs(), None, ())

    assert errno.EINVAL == number
    assert name in words


@pytest.mark.parametrize("name", ["CLONE_VM", "CLONE_THREAD", "CLONE_SIGHAND", "CLONE_SETTLS"])
def test_what_python_cannot_survive_is_refused_with_a_reason(name):
    number, words = refused(CHLD | getattr(flag, name), CloneArgs(), None, ())

    assert errno.EINVAL == number
    assert name in words


@pytest.mark.parametrize(
    "args", [CloneArgs(child_stack=1 << 20), CloneArgsV12(child_stack_base=1 << 20, child_stack_size=4096)]
)
def test_a_stack_of_its_own_is_refused(args):
    assert errno.EINVAL == refused(CHLD, args, None, ())[0]


def test_an_exit_signal_that_is_none():
    assert errno.EINVAL == refused(65, CloneArgs(), None, ())[0]


# The five cases of the old conformance suite.


@pytest.mark.parametrize("args", [CloneArgs(), CloneArgsV12()])
def test_eclone_1_the_pid_that_was_chosen(args):
    number = free_pid()

    assert (number, number) == born(number, args=args)


def test_eclone_2_a_pid_that_is_taken():
    with holding(free_pid()) as number:
        code, words = refused(CHLD, CloneArgs(), None, (number,))

    assert errno.EBUSY == code
    assert f"PID {number} is taken" in words


def test_eclone_3_reserved0():
    assert errno.EINVAL == refused(CHLD, CloneArgs(reserved0=0xFFFFFFFF), None, (free_pid(),))[0]


def test_eclone_4_flags_high():
    assert errno.EINVAL == refused(CHLD, CloneArgs(clone_flags_high=1 << 63), None, (free_pid(),))[0]


@outermost
def test_eclone_5_more_pids_than_levels():
    assert errno.EINVAL == refused(CHLD, CloneArgs(), None, (free_pid(), free_pid()))[0]


def test_eclone_5_as_many_pids_as_levels_when_nested():
    outer = free_pid()

    assert (7, 7) == nested(lambda: born(outer, 7))


# Rights.


def test_checkpoint_restore_alone_is_enough():
    def attempt():
        drop_capability(21)  # CAP_SYS_ADMIN
        return born(free_pid())

    outside, inside = in_child(attempt)
    assert outside == inside


def test_neither_capability():
    def attempt():
        drop_capability(21, 40)
        return refused(CHLD, CloneArgs(), None, (0,))

    number, words = in_child(attempt)
    assert errno.EPERM == number
    assert "CAP_CHECKPOINT_RESTORE" in words


def test_a_user_without_root_chooses_in_namespaces_of_his_own():
    def within():
        map_to_root(65534, 65534)
        first = os.getpid()
        return first, born(77), born(2, flags=flag.CLONE_NEWPID)

    def user():
        become_nobody()
        return in_child(within, lambda: eclone(CHLD | flag.CLONE_NEWUSER | flag.CLONE_NEWPID))

    assert (1, (77, 77), (2, 1)) == in_child(user)


def test_a_user_without_root_names_no_outer_pid():
    outer = free_pid()

    def within():
        map_to_root(65534, 65534)
        return refused(CHLD, CloneArgs(), None, (outer, 77))[0]

    def user():
        become_nobody()
        return in_child(within, lambda: eclone(CHLD | flag.CLONE_NEWUSER | flag.CLONE_NEWPID))

    assert errno.EPERM == in_child(user)


# The child goes on in Python.


def test_exit_signal_and_tid_pointers():
    memory = mmap.mmap(-1, 4096)  # shared
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    number = free_pid()
    flags = flag.CLONE_PARENT_SETTID | flag.CLONE_CHILD_SETTID
    args = CloneArgs(parent_tid_ptr=address, child_tid_ptr=address + 8)

    assert (number, number) == born(number, flags=flags, args=args)
    assert (number, number) == struct.unpack_from("<i4xi", memory)


def test_threads_locks_and_hooks_in_the_child():
    before, seen = threading.Lock(), []
    os.register_at_fork(after_in_child=lambda: seen.append("child"))
    random.seed(1)

    def child():
        thread = threading.Thread(target=lambda: seen.append(threading.current_thread().name), name="new")
        thread.start()
        thread.join(10)
        with before:
            pass
        alone = [thread.name for thread in threading.enumerate()] == [threading.main_thread().name]
        of_libc = ctypes.c_int.from_address(libc_tid_address()).value
        return seen, alone, of_libc == os.getpid() == threading.get_native_id(), random.random()

    seen_there, alone, own_id, number = in_child(child, lambda: eclone(CHLD))
    assert ["child", "new"] == seen_there
    assert alone
    assert own_id
    assert [] == seen
    random.seed(1)
    assert random.random() != number


def test_births_while_other_threads_want_the_interpreter():
    # A switch interval that makes nearly every birth fall together with the wish of another thread: with a single
    # instruction of Python between the birth and the new locks, every second child hangs.
    stop = threading.Event()

    def work():
        while not stop.is_set():
            sum(range(50))

    threads = [threading.Thread(target=work) for _ in range(3)]
    ballast = bytearray(os.urandom(1 << 20)) * 64  # more to copy: the births take longer
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            pid = eclone(CHLD)
            if pid == 0:
                os._exit(len(ballast) & 1)
            assert 0 == os.waitpid(pid, 0)[1]
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()


def test_public_names():
    assert crtool.eclone is eclone
    assert crtool.clone_with_pids is clone_with_pids


def test_clone_with_pids():
    number = free_pid()

    assert number == in_child(os.getpid, lambda: clone_with_pids(CHLD, pids=[number]))
