"""What each kind of open file adds to its fdinfo."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.procfs import fdinfo
from crtool.procfs import fdinfo_kinds as kinds
from crtool.procfs.error import ProcfsError
from crtool.procfs.fdinfo import Fdinfo
from crtool.procfs.read import read

_LIBC = ctypes.CDLL(None, use_errno=True)
_ROOT_DEVICE = os.makedev(0xFE, 0)


def _info(key: str, value: bytes) -> Fdinfo:
    return Fdinfo(0, 0, 0, 0, ((key, value),))


def _of(fd: int) -> Fdinfo:
    return fdinfo.parse(read(os.getpid(), f"fdinfo/{fd}"))


def test_samples(sample: Callable[[str], bytes]) -> None:
    def of(name: str) -> Fdinfo:
        return fdinfo.parse(sample(f"fdinfo_{name}"))

    assert kinds.Eventfd(count=23, id=1, semaphore=True) == kinds.eventfd(of("eventfd"))
    assert kinds.Timerfd(1, 0, 0, 99_999_985_516, 1_000_000_500) == kinds.timerfd(of("timerfd"))
    assert 1 << 9 | 1 << 63 == kinds.signalfd(of("signalfd"))
    assert kinds.Pidfd(22868, (22868,)) == kinds.pidfd(of("pidfd"))
    assert 0 == kinds.tty_index(of("ptmx"))
    assert 2 == kinds.scm_fds(of("unix"))


def test_sample_of_epoll(sample: Callable[[str], bytes]) -> None:
    first, second = kinds.epoll(fdinfo.parse(sample("fdinfo_epoll")))

    assert (5, select.EPOLLET | 0x19, 0x2020202000000005, 0) == (first.fd, first.events, first.data, first.pos)
    assert os.makedev(0, 0xF) == first.device
    assert (3, 0x19, 0x7F8A00000003, 0x40E) == (second.fd, second.events, second.data, second.inode)


def test_sample_of_inotify(sample: Callable[[str], bytes]) -> None:
    proc, tmp = kinds.inotify(fdinfo.parse(sample("fdinfo_inotify")))

    assert kinds.InotifyWatch(1, 0x3F7E8, _ROOT_DEVICE, 0x300, 1, bytes.fromhex("e8f7030000000000")) == tmp
    assert (0x1F, 1, os.makedev(0, 0x15), 2, 0x81, 12) == (
        proc.wd,
        proc.inode,
        proc.device,
        proc.mask,
        proc.handle_type,
        len(proc.handle or b""),
    )


def test_sample_of_fanotify(sample: Callable[[str], bytes]) -> None:
    group = kinds.fanotify(fdinfo.parse(sample("fdinfo_fanotify")))

    handle = bytes.fromhex("e8f7030000000000")
    mark = kinds.FanotifyMark(0, 0x20, 0, 0x3F7E8, None, _ROOT_DEVICE, 1, handle)
    assert kinds.Fanotify(0, 0x8000, (mark,)) == group


def test_fanotify_marks_of_a_mount_a_filesystem_and_of_something_new() -> None:
    first = b"pos:\t0\nflags:\t02\nmnt_id:\t1\nfanotify flags:e01 event-flags:8000\nfanotify "
    of_mount = kinds.FanotifyMark(0x40, 0x3B, 3, None, 0x1B, None, None, None)
    of_filesystem = kinds.FanotifyMark(0, 0x8000003, 0, None, None, os.makedev(254, 0), None, None)

    found = kinds.fanotify(fdinfo.parse(first + b"mnt_id:1b mflags:40 mask:3b ignored_mask:3\n"))
    assert (of_mount,) == found.marks
    found = kinds.fanotify(fdinfo.parse(first + b"sdev:fe00000 mflags:0 mask:8000003 ignored_mask:0"))
    assert (of_filesystem,) == found.marks
    with pytest.raises(ProcfsError, match="mnt_ns:5"):
        kinds.fanotify(fdinfo.parse(first + b"mnt_ns:5 mflags:0 mask:3 ignored_mask:0"))


def test_sample_of_locks(sample: Callable[[str], bytes]) -> None:
    flock, posix, description = kinds.locks(fdinfo.parse(sample("fdinfo_locks")))

    assert kinds.Lock("FLOCK", "ADVISORY", "READ", 22868, _ROOT_DEVICE, 2146396, 0, None) == flock
    assert ("POSIX", "WRITE", 22868, 5, 14) == (posix.kind, posix.access, posix.pid, posix.start, posix.end)
    assert ("OFDLCK", "WRITE", -1, 100, None) == (
        description.kind,
        description.access,
        description.pid,
        description.start,
        description.end,
    )


def test_older_kernels() -> None:
    assert kinds.Eventfd(count=0xAB, id=None, semaphore=None) == kinds.eventfd(_info("eventfd-count", b"ab"))
    assert (kinds.EpollTarget(5, 0x1D, 0xFFFFFFFFFFFFFFFF, None, None, None),) == kinds.epoll(
        _info("tfd", b"5 events:       1d data: ffffffffffffffff")
    )


def test_a_filesystem_without_handles() -> None:
    (watch,) = kinds.inotify(_info("inotify", b"wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 "))

    assert kinds.InotifyWatch(3, 0x9E7E, os.makedev(8, 0x13), 0x800AFCE, None, None) == watch


def test_a_lease_and_a_lock_on_nothing() -> None:
    (lease,) = kinds.locks(_info("lock", b"1: LEASE  ACTIVE    READ 7 fe:00:12 0 EOF"))

    assert ("LEASE", "ACTIVE", "READ", 7) == (lease.kind, lease.state, lease.access, lease.pid)


def test_a_process_that_is_reaped() -> None:
    assert kinds.Pidfd(-1, (-1,)) == kinds.pidfd(
        fdinfo.parse(b"pos:\t0\nflags:\t02\nmnt_id:\t4\nPid:\t-1\nNSpid:\t-1\n")
    )


_READERS: tuple[tuple[str, Callable[[Fdinfo], Any]], ...] = (
    ("eventfd-count", kinds.eventfd),
    ("tfd", kinds.epoll),
    ("sigmask", kinds.signalfd),
    ("it_value", kinds.timerfd),
    ("inotify", kinds.inotify),
    ("Pid", kinds.pidfd),
    ("lock", kinds.locks),
    ("tty-index", kinds.tty_index),
    ("scm_fds", kinds.scm_fds),
)


@pytest.mark.parametrize(("key", "reader"), _READERS)
def test_bad(key: str, reader: Callable[[Fdinfo], object]) -> None:
    with pytest.raises(ProcfsError) as caught:
        reader(_info(key, b"?"))

    assert "fdinfo" == caught.value.file


@pytest.mark.parametrize(
    "reader", [kinds.eventfd, kinds.signalfd, kinds.timerfd, kinds.pidfd, kinds.tty_index, kinds.scm_fds]
)
def test_a_line_is_missing(reader: Callable[[Fdinfo], object]) -> None:
    with pytest.raises(ProcfsError):
        reader(Fdinfo(0, 0, 0, 0, ()))


@given(st.sampled_from(_READERS), st.binary())
def test_any_bytes(reader: tuple[str, Callable[[Fdinfo], object]], value: bytes) -> None:
    key, read_kind = reader
    try:
        read_kind(_info(key, value))
    except ProcfsError as error:
        assert error.file == "fdinfo"


def test_live_eventfd() -> None:
    fd = _LIBC.eventfd(23, 1)
    try:
        found = kinds.eventfd(_of(fd))
    finally:
        os.close(fd)

    assert 23 == found.count
    assert found.semaphore in (True, None)


def test_live_epoll(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with select.epoll() as poll:
        poll.register(reader, select.EPOLLIN | select.EPOLLONESHOT)
        (target,) = kinds.epoll(_of(poll.fileno()))
        status = os.fstat(reader)
    os.close(reader)
    os.close(writer)

    assert reader == target.fd
    assert target.events & select.EPOLLIN
    assert target.events & select.EPOLLONESHOT
    assert (status.st_ino, status.st_dev) == (target.inode, target.device)


def test_live_signalfd() -> None:
    fd = _LIBC.signalfd(-1, struct.pack("Q", 1 << signal.SIGUSR1 - 1), 0)
    try:
        assert 1 << signal.SIGUSR1 - 1 == kinds.signalfd(_of(fd))
    finally:
        os.close(fd)


def test_live_timerfd() -> None:
    fd = _LIBC.timerfd_create(1, 0)
    try:
        assert 0 == kinds.timerfd(_of(fd)).value
        _LIBC.timerfd_settime(fd, 0, struct.pack("4q", 1, 500, 100, 7), None)
        found = kinds.timerfd(_of(fd))
    finally:
        os.close(fd)

    assert (1, 0, 0, 1_000_000_500) == (found.clockid, found.ticks, found.settime_flags, found.interval)
    assert 90 * 10**9 < found.value <= 100 * 10**9 + 7


def test_live_inotify(tmp_path: Path) -> None:
    fd = _LIBC.inotify_init1(0)
    try:
        wd = _LIBC.inotify_add_watch(fd, os.fsencode(tmp_path), 0x300)
        (watch,) = kinds.inotify(_of(fd))
    finally:
        os.close(fd)
    status = tmp_path.stat()

    assert (wd, status.st_ino, 0x300) == (watch.wd, watch.inode, watch.mask)


def test_live_pidfd() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    fd = os.pidfd_open(pid)
    try:
        alive = kinds.pidfd(_of(fd))
        os.waitpid(pid, 0)
        reaped = kinds.pidfd(_of(fd))
    finally:
        os.close(fd)

    assert (pid, -1) == (alive.pid, reaped.pid)
    assert pid == alive.ns_pid[0]


def test_live_locks(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 10, 5)
        fcntl.flock(file, fcntl.LOCK_SH)
        found = {lock.kind: lock for lock in kinds.locks(_of(file.fileno()))}
        inode = os.fstat(file.fileno()).st_ino

    assert {"POSIX", "FLOCK"} == set(found)
    assert (os.getpid(), inode, "WRITE", 5, 14) == (
        found["POSIX"].pid,
        found["POSIX"].inode,
        found["POSIX"].access,
        found["POSIX"].start,
        found["POSIX"].end,
    )
    assert ("READ", 0, None) == (found["FLOCK"].access, found["FLOCK"].start, found["FLOCK"].end)


def test_live_terminal() -> None:
    master, slave = os.openpty()
    try:
        assert os.ttyname(slave) == f"/dev/pts/{kinds.tty_index(_of(master))}"
    finally:
        os.close(master)
        os.close(slave)


def test_live_unix_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(ours, [b"x"], [0, 1])
        assert (0, 2) == (kinds.scm_fds(_of(ours.fileno())), kinds.scm_fds(_of(theirs.fileno())))
