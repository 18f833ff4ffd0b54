"""Descriptors that are asked for all at once, by BPF: it has to find what is found if they are asked for one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crtool.engine import checkpoint as story
from crtool.engine.beforehand import census_for
from crtool.engine.checkpoint import checkpoint
from crtool.engine.references import read_snapshot
from crtool.engine.snapshot import FilesRecord
from crtool.image.reader import ImageReader
from crtool.kernel.process import KCMP_FILE, Identities
from crtool.kernel.read_ahead import RANDOM, SEQUENTIAL
from crtool.resources.files.regular import RegularRecord

from .harness.processes import Deadline, all_ended, end

pytestmark = pytest.mark.machine("io_uring with its structures in BTF")

MANY = 10_000
HOLDER = """
import fcntl, os, select, signal, socket, struct, sys

def opened(name, flags, position=0):
    fd = os.open(name, flags | os.O_CREAT if flags != os.O_PATH else flags, 0o600)
    if position:
        os.lseek(fd, position, os.SEEK_SET)
    return fd

first = opened("one", os.O_RDWR, 5)
os.link("one", "other")
opened("one", os.O_RDWR, 5)
opened("one", os.O_RDWR, 7)
opened("one", os.O_RDONLY | os.O_NONBLOCK)
opened("one", os.O_WRONLY | os.O_APPEND)
opened("one", os.O_PATH)
opened("one", os.O_PATH)
opened("other", os.O_RDWR, 5)
fcntl.fcntl(first, 1036, struct.pack("Q", 3))  # F_SET_RW_HINT
os.dup(first)
os.set_inheritable(os.dup(first), True)
for order in (os.POSIX_FADV_RANDOM, os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_NOREUSE):
    os.posix_fadvise(opened("one", os.O_RDWR), 0, 0, order)
os.open(".", os.O_RDONLY | os.O_DIRECTORY)
os.open("/dev/null", os.O_RDWR)
os.open("/dev/null", os.O_RDONLY)
for _ in range(2):
    opened("gone", os.O_RDWR)
os.unlink("gone")
for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
    locked = opened("locked", os.O_RDWR)
    opened("locked", os.O_RDWR)
fcntl.flock(locked, fcntl.LOCK_SH)
fcntl.lockf(locked, fcntl.LOCK_EX, 10, 20)
fcntl.fcntl(opened("leased", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
for number in range(100):  # beyond the first word of FD_CLOEXEC
    reader, writer = os.pipe2(os.O_NONBLOCK if number % 3 else os.O_CLOEXEC)
    os.set_inheritable(reader, number % 2 == 0)
    if number % 5 == 0:
        os.write(writer, b"unread %d" % number)
fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(writer, fcntl.F_SETSIG, signal.SIGUSR1)
fcntl.fcntl(os.dup(writer), fcntl.F_SETPIPE_SZ, 8192)
os.mkfifo("fifo")
fifos = [os.open("fifo", os.O_RDWR), os.open("fifo", os.O_RDONLY), os.open("fifo", os.O_PATH)]
epoll = select.epoll()
epoll.register(reader, select.EPOLLIN)
epoll.register(fifos[1], select.EPOLLIN)
os.eventfd(3)
os.memfd_create("memory")
one, other = socket.socketpair()
flying, sent = os.pipe()
# One that is open as well, one of its path, one of a path of its own.
socket.send_fds(one, [b"x"], [first, opened("one", os.O_RDWR, 5), flying])
os.close(flying)
socket.socket()
if os.fork() == 0:
    opened("one", os.O_RDWR, 9)
    os.close(first)
    print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[int]:
    said, folder = tmp_path / "said", tmp_path / "files"
    folder.mkdir()
    with all_ended():
        with open(said, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder,
                start_new_session=True,
            )  # fmt: skip
        Deadline(60, "its files").wait_until(lambda: b"\n" in said.read_bytes())
        assert said.read_text() == "ready\n"
        yield process.pid
        end([process.pid, *map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())])
        process.wait()


def saved(pid: int, image: Path) -> FilesRecord:
    checkpoint(pid, image)
    with ImageReader.open(image) as reader:
        return read_snapshot(reader).files


def test_both_ways_find_the_same(holder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert census_for(MANY) is not None
    monkeypatch.setattr(story, "census_for", lambda _files: None)
    asked = saved(holder, tmp_path / "asked")
    monkeypatch.setattr(story, "census_for", lambda _files: census_for(MANY))
    counted = saved(holder, tmp_path / "counted")

    assert asked == counted
    # What this is about has been there.
    assert 2 == len(counted.tables)
    assert {5, 7, 9} <= {each.position for each in counted.descriptions if isinstance(each, RegularRecord)}
    assert {0, RANDOM, SEQUENTIAL} <= {each.advice for each in counted.descriptions if isinstance(each, RegularRecord)}
    assert 2 <= len(counted.owners)
    assert 3 <= len(counted.tables[0].locks)


def test_few_are_asked_for_one_by_one() -> None:
    assert census_for(1) is None


def test_what_is_known_to_be_new_is_found_again() -> None:
    """Also if it gets its place in the order only when somebody is looked for."""
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(9)]
    again = [os.dup(fd) for fd in fds]
    try:
        identities, pid = Identities(KCMP_FILE), os.getpid()
        for number, fd in enumerate(fds[:6]):
            assert number == identities.add(pid, fd, "place")
        assert (6, True) == identities.find(pid, fds[6], "place")
        assert 7 == identities.add(pid, fds[7], "place")

        assert list(range(8)) == [identities.known(pid, fd, "place") for fd in again[:8]]
        assert identities.known(pid, fds[8], "place") is None
        assert identities.known(pid, fds[0], "elsewhere") is None
    finally:
        for fd in fds + again:
            os.close(fd)
