"""Private memory whose pages come when they are asked for.

Who touches a page that is not there yet waits for whoever has the userfaultfd of the mapping (userfaultfd(2),
ioctl_userfaultfd(2)). Forks, mremap, madvise and munmap wait as well, until that one has heard of them: so what is
still to come moves, goes, and is inherited like the pages that are there.

Nothing is read here: a restart only. The restored process makes the userfaultfd itself, and registers its mappings;
crtool takes the descriptor, and the process has none.

What has been touched in no process is a page of zeros, also in a registered mapping. Where a program marks memory with
MADV_WIPEONFORK while it is still to come and forks, the child gets the bytes that it should not.
"""

from __future__ import annotations

import errno
import fcntl
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from crtool.abi import mman
from crtool.abi import userfaultfd as uffd
from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers, RemoteCallError
from crtool.image.verified import VerifiedReader
from crtool.kernel.syscall import memory_address
from crtool.procfs import smaps as smaps_file
from crtool.procfs.read import read
from crtool.procfs.smaps import Smap
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import Piece

__all__ = ["LazySpace", "belongs", "cannot_come_later", "is_gone", "may_be_lazy", "register"]

_WORTH_IT = 1 << 20  # bytes of a mapping
_MESSAGES = 32  # read at once
_AT_FAULT = 64 * cpu.PAGE_SIZE  # bytes that are brought when one of them is asked for
# The page is there, or nothing is registered there any more (it would be EAGAIN if that had not been heard of).
_SETTLED = (errno.EEXIST, errno.ENOENT)
_ANYWHERE = 1 << 20  # an address that there can be
_AHEAD = 1 << 20  # bytes that are brought at once when nobody waits


def may_be_lazy(record: MappingRecord) -> bool:
    """Whether pages of this mapping can come later: not those of stacks, which /proc/PID/cmdline reads, nor of what is
    locked, nor of what a fork empties, since the child would get what is still to come.
    """
    return (
        record.inode < 0
        and not record.shared
        and record.size >= _WORTH_IT
        and not record.flags & (mman.MAP_HUGETLB | mman.MAP_GROWSDOWN)
        and not record.locked
        and not record.sealed
        and mman.MADV_WIPEONFORK not in record.advice
    )


def register(puppet: Puppet, mappings: Iterable[MappingRecord]) -> int:
    """Registers *mappings*; returns the number of the userfaultfd in the puppet, which has to close it."""
    batch = Batch()
    door = batch.call("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK)
    batch.call("ioctl", door, uffd.UFFDIO_API, uffd.API.pack(uffd.UFFD_API, uffd.FEATURE_EVENTS, 0))
    for mapping in mappings:
        # A page that was filled in beside it may have come as a huge page, with zeros for all around it.
        batch.call("madvise", mapping.start, mapping.size, mman.MADV_DONTNEED, label=f"{mapping.start:x}")
        args = uffd.REGISTER.pack(mapping.start, mapping.size, uffd.REGISTER_MODE_MISSING, 0)
        batch.call("ioctl", door, uffd.UFFDIO_REGISTER, args, label=f"{mapping.start:x}")
    try:
        puppet.run(batch)
    except RemoteCallError as error:
        raise cannot_come_later(error.call, error.errno) from None
    return door.value


def cannot_come_later(call: str, number: int) -> EnvironmentDiffers:
    """What is said if *call* has failed with errno *number*."""
    return EnvironmentDiffers(
        f"memory cannot come later: {call} failed ({os.strerror(number)})",
        "run crtool as root, under a kernel with userfaultfd(2), or do without --lazy",
    )


def is_gone(door: int) -> bool:
    """Whether the address space of a userfaultfd is there no more."""
    args = bytearray(uffd.WRITEPROTECT.pack(_ANYWHERE, cpu.PAGE_SIZE, 0))
    try:
        fcntl.ioctl(door, uffd.UFFDIO_WRITEPROTECT, args)  # of what is not registered for that
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


def belongs(door: int, pid: int, smaps: Sequence[Smap]) -> bool:
    """Whether a userfaultfd is of the address space of process *pid*, whose mappings are *smaps*.

    No descriptor tells that. So more is registered with it, to stay so: for an address space that is to end.
    """
    for entry in smaps:
        start, end = entry.mapping.start, entry.mapping.end
        if entry.mapping.shared or entry.mapping.inode or "wr" not in entry.flags or "um" in entry.flags:
            continue
        args = bytearray(uffd.REGISTER.pack(start, end - start, uffd.REGISTER_MODE_MISSING, 0))
        try:
            fcntl.ioctl(door, uffd.UFFDIO_REGISTER, args)
        except OSError:  # it is another address space, where something else is there, or nothing
            continue
        now = smaps_file.parse(read(pid, "smaps"))
        return any("um" in each.flags and each.mapping.start <= start < each.mapping.end for each in now)
    return False


class LazySpace:
    """An address space for which pages are still to come; whoever has its userfaultfd serves it."""

    def __init__(self, door: int, pieces: Sequence[Piece]) -> None:
        """*door*: the userfaultfd, non-blocking. *pieces*, in order, have offsets in the data area of the image."""
        self.door = door
        self._pieces = list(pieces)
        self._asked: list[int] = []  # addresses of pages for which somebody waits

    @property
    def is_complete(self) -> bool:
        """Whether nothing is to come any more."""
        return not self._pieces

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for a page who could not be answered."""
        return bool(self._asked)

    def hear(self) -> list[LazySpace]:
        """Reads what has happened; returns the address spaces that were forked from this one."""
        born: list[LazySpace] = []
        try:
            messages = os.read(self.door, _MESSAGES * uffd.MESSAGE.size)
        except BlockingIOError:
            return born
        for event, first, second, third in uffd.MESSAGE.iter_unpack(messages):
            if event == uffd.EVENT_PAGEFAULT:
                self._asked.append(second & -cpu.PAGE_SIZE)
            elif event == uffd.EVENT_FORK:
                born.append(LazySpace(first & 0xFFFF_FFFF, self._pieces))
            elif event == uffd.EVENT_REMAP:
                self._move(first, second, third)
            elif event in (uffd.EVENT_REMOVE, uffd.EVENT_UNMAP):
                self._forget(first, second)
        return born

    def answer(self, image: VerifiedReader) -> None:
        """Brings the pages for which somebody waits. ImageError if one of them is damaged; ProcessLookupError if the
        address space is not there any more.
        """
        asked, self._asked = self._asked, []
        for address in asked:
            piece = self._at(address)
            done = self._zero(address) if piece is None else self._bring(image, address, piece, _AT_FAULT)
            if not done:
                self._asked.append(address)  # something has happened meanwhile, which has to be read first

    def go_on(self, image: VerifiedReader) -> None:
        """Brings some more pages. Errors as of :meth:`answer`."""
        if self._pieces:
            self._bring(image, self._pieces[0].start, self._pieces[0], _AHEAD)

    # -- what is to come ------------------------------------------------------------------------------------

    def _at(self, address: int) -> Piece | None:
        index = bisect_right(self._pieces, address, key=_start) - 1
        if index >= 0 and address < self._pieces[index].start + self._pieces[index].length:
            return self._pieces[index]
        return None

    def _forget(self, start: int, end: int) -> list[Piece]:
        """Takes *start*…*end* out of what is to come, and returns it."""
        first = max(bisect_right(self._pieces, start, key=_start) - 1, 0)
        last = first
        kept: list[Piece] = []
        taken: list[Piece] = []
        while last < len(self._pieces) and self._pieces[last].start < end:
            piece = self._pieces[last]
            stop = piece.start + piece.length
            kept += _part(piece, piece.start, min(stop, start))
            taken += _part(piece, max(piece.start, start), min(stop, end))
            kept += _part(piece, max(piece.start, end), stop)
            last += 1
        self._pieces[first:last] = kept
        return taken

    def _move(self, source: int, target: int, length: int) -> None:
        moved = self._forget(source, source + length)
        self._forget(target, target + length)
        moved = [Piece(piece.start - source + target, piece.length, piece.offset) for piece in moved]
        self._pieces = sorted([*self._pieces, *moved], key=_start)

    # -- bringing it ------------------------------------------------------------------------------------------

    def _bring(self, image: VerifiedReader, address: int, piece: Piece, most: int) -> bool:
        """Copies up to *most* bytes from *address* in *piece* on; False if the kernel has to be heard first."""
        length = min(piece.start + piece.length - address, most)
        view = image.read(piece.offset + address - piece.start, length)
        source, end = memory_address(view), address + len(view)
        start, size = address, len(view)
        while start < end:
            size = min(size, end - start)
            args = bytearray(uffd.COPY.pack(start, source + start - address, size, 0, 0))
            try:
                fcntl.ioctl(self.door, uffd.UFFDIO_COPY, args, True)
                start, size = start + size, len(view)
                continue
            except OSError as error:
                start += max(uffd.COPY.unpack(args)[4], 0)
                if error.errno == errno.EAGAIN:
                    break
                if error.errno == errno.ENOENT and size > cpu.PAGE_SIZE:
                    size = size // 2 & -cpu.PAGE_SIZE  # into two mappings, since somebody has divided them
                    continue
                if error.errno not in _SETTLED:
                    raise
                self._wake(start)
                start, size = start + cpu.PAGE_SIZE, len(view)
        self._forget(address, min(start, end))
        return start > address

    def _zero(self, address: int) -> bool:
        """Maps a page of zeros, which nobody has ever written to; False as of :meth:`_bring`."""
        try:
            fcntl.ioctl(self.door, uffd.UFFDIO_ZEROPAGE, bytearray(uffd.ZEROPAGE.pack(address, cpu.PAGE_SIZE, 0, 0)))
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return False
            if error.errno not in _SETTLED:
                raise
            self._wake(address)
        return True

    def _wake(self, address: int) -> None:
        """Lets go whoever waits for a page that is there, or never will be: the kernel does it for neither."""
        fcntl.ioctl(self.door, uffd.UFFDIO_WAKE, bytearray(uffd.RANGE.pack(address, cpu.PAGE_SIZE)))


def _start(piece: Piece) -> int:
    return piece.start


def _part(piece: Piece, start: int, end: int) -> list[Piece]:
    return [Piece(start, end - start, piece.offset + start - piece.start)] if start < end else []
