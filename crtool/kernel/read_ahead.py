"""What posix_fadvise(2) was told about an open file: that it is read at random, in sequence, or once.

The kernel tells nobody. POSIX_FADV_RANDOM and _NOREUSE are bits of ``f_mode`` in struct file, POSIX_FADV_SEQUENTIAL is
twice as much read ahead (``f_ra.ra_pages``) as is usual for the file system: generic_fadvise() in mm/fadvise.c. A BPF
program that can do nothing else reads these of a descriptor of ours (:mod:`.bpf_syscall`). Which bits they are is not
promised: it is those that change when a file of our own gets such advice. That is the trial, too.

Nothing is found on file systems that lie over others (overlayfs), which keep it elsewhere; those in memory keep none.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from crtool.kernel import btf
from crtool.kernel.bpf_iter import R0, R1, R2, R6, R7, R10, Program
from crtool.kernel.bpf_syscall import load, run
from crtool.record import dataclass

__all__ = ["NO_REUSE", "RANDOM", "SEQUENTIAL", "Advice", "Trace", "advise", "prepare"]

SEQUENTIAL, RANDOM, NO_REUSE = 1, 2, 4
"""What a file may have been told, or-ed."""

_STRUCTURES = (
    "task_struct", "files_struct", "fdtable", "file", "file_ra_state", "inode", "super_block", "backing_dev_info",
)  # fmt: skip
_TALK = struct.Struct("<QQQQ")  # descriptor; f_mode, pages read ahead, pages usually read ahead
_ORDERS = {SEQUENTIAL: os.POSIX_FADV_SEQUENTIAL, RANDOM: os.POSIX_FADV_RANDOM, NO_REUSE: os.POSIX_FADV_NOREUSE}


@dataclass(frozen=True)
class Trace:
    """What the kernel keeps of the advice about an open file."""

    mode: int  # f_mode
    pages: int  # read ahead of it
    usual: int  # read ahead on its file system


def advise(fd: int, advice: int) -> None:
    """Tells the kernel so about *fd*; raises OSError."""
    for one, order in _ORDERS.items():  # in the order in which none takes back another
        if advice & one:
            os.posix_fadvise(fd, 0, 0, order)


class Advice:
    """Reads it. OSError or KeyError if this kernel, or the caller's rights, do not give it."""

    def __init__(self) -> None:
        with btf.search(_STRUCTURES) as types:
            self._fd = load(_program(types.offset))
        try:
            self._random, self._once = self._bits()
        except BaseException:
            os.close(self._fd)
            raise

    def of(self, fd: int) -> int:
        """What was told about *fd*, a regular file open for reading; raises OSError."""
        trace = self._trace(fd)
        return self.told(trace.mode, trace.pages, trace.usual)

    def told(self, mode: int, pages: int, usual: int) -> int:
        """What left that trace, as of :class:`Trace`: of which there may be tens of thousands."""
        sequential = SEQUENTIAL if pages == 2 * usual != 0 else 0
        return sequential | (RANDOM if mode & self._random else 0) | (NO_REUSE if mode & self._once else 0)

    def _trace(self, fd: int) -> Trace:
        talk = ctypes.create_string_buffer(_TALK.pack(fd, 0, 0, 0), _TALK.size)
        run(self._fd, talk)
        return Trace(*_TALK.unpack(talk.raw)[1:])

    def _bits(self) -> tuple[int, int]:
        """Those of f_mode for RANDOM and NO_REUSE, the second 0 where that does nothing: a file of our own tells."""
        for path in (sys.executable, __file__):
            with suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    plain = self._trace(fd)
                    advise(fd, SEQUENTIAL)
                    twice = self._trace(fd)
                    advise(fd, RANDOM)
                    random = self._trace(fd).mode ^ plain.mode
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_NORMAL)
                    again = self._trace(fd)
                    advise(fd, NO_REUSE)
                    once = self._trace(fd).mode ^ plain.mode
                finally:
                    os.close(fd)
                if (
                    plain.mode & 1  # FMODE_READ
                    and random.bit_count() == 1
                    and once.bit_count() <= 1
                    and random != once
                    and plain.pages == plain.usual != 0
                    and again == plain
                    and twice == Trace(plain.mode, 2 * plain.usual, plain.usual)
                ):
                    return random, once
        raise KeyError("trace of posix_fadvise")


def _program(at: Callable[[str, str], int]) -> bytes:
    """R6 is what is told, R7 goes from the calling thread to the open file, and on to its file system."""
    program = Program()

    def follow(*members: tuple[str, str]) -> None:
        for structure, member in members:
            program.read_kernel(8, 8, R7, at(structure, member))
            program.load(R7, R10, -8)

    def keep(place: int, size: int, offset: int) -> None:
        program.put(R1, 0)
        program.store(R10, -8, R1)
        program.read_kernel(8, size, R7, offset)
        program.load(R1, R10, -8)
        program.store(R6, place, R1)

    program.copy(R6, R1)
    program.current()
    program.copy(R7, R0)
    follow(("task_struct", "files"), ("files_struct", "fdt"), ("fdtable", "fd"))
    program.load(R2, R6, 0)
    program.shift_left(R2, 3)
    program.add_register(R7, R2)
    program.read_kernel(8, 8, R7)
    program.load(R7, R10, -8)
    keep(8, 4, at("file", "f_mode"))
    keep(16, 4, at("file", "f_ra") + at("file_ra_state", "ra_pages"))
    follow(("file", "f_inode"), ("inode", "i_sb"), ("super_block", "s_bdi"))
    keep(24, 4, at("backing_dev_info", "ra_pages"))
    program.end()
    return program.code


@cache
def prepare() -> Advice | None:
    """Made once for the life of crtool; None if it cannot be."""
    with suppress(OSError, KeyError):
        return Advice()
    return None
