"""A child whose memory is to come by a userfaultfd, which the test has."""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crtool.abi import userfaultfd as uffd
from crtool.arch import cpu
from crtool.kernel.process import open_pidfd, pidfd_getfd
from crtool.kernel.syscall import memory_address, syscall

__all__ = ["PAGE", "PAGES", "LazyChild", "lazy_child"]

PAGE = cpu.PAGE_SIZE
PAGES = 256

Body = Callable[[memoryview, int], None]
"""What the child does with its memory, and with a descriptor on which it may say something."""


@dataclass
class LazyChild:
    """The child, and what is known of it."""

    pid: int
    door: int  # the userfaultfd
    start: int  # the address of its memory
    said: int  # the end of the pipe on which it speaks

    def line(self) -> bytes:
        """The next line that it says; empty if it says nothing any more."""
        found = b""
        while not found.endswith(b"\n") and (byte := os.read(self.said, 1)):
            found += byte
        return found


@contextmanager
def lazy_child(body: Body) -> Iterator[LazyChild]:
    """A child that does *body* when the test goes on. It is killed at the end."""
    said, saying = os.pipe()
    going, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(said)
            os.close(go)
            memory = memoryview(mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            start = memory_address(memory)
            door = syscall("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(door, uffd.UFFDIO_API, bytearray(uffd.API.pack(uffd.UFFD_API, uffd.FEATURE_EVENTS, 0)))
            args = uffd.REGISTER.pack(start, len(memory), uffd.REGISTER_MODE_MISSING, 0)
            fcntl.ioctl(door, uffd.UFFDIO_REGISTER, bytearray(args))
            os.write(saying, b"%d %d\n" % (door, start))
            os.read(going, 1)
            os.close(door)
            body(memory, saying)
        finally:
            os._exit(1)
    os.close(saying)
    os.close(going)
    child = LazyChild(pid, -1, 0, said)
    try:
        number, child.start = map(int, child.line().split())
        pidfd = open_pidfd(pid, 0)
        child.door = pidfd_getfd(pidfd, number)
        os.close(pidfd)
        os.close(go)
        yield child
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(child.door)
        os.close(said)
