"""Filling memory a huge page at a time.

To hand out 512 small pages takes the kernel five times as long as one huge page of the same size, and that is most of
what filling fresh memory costs.

Whether huge pages are to be had is read from /sys/kernel/mm/transparent_hugepage.

We fill a window of memory that has MADV_HUGEPAGE, and move its pages to where they belong by UFFDIO_MOVE
(adef440691ba, "userfaultfd: UFFDIO_MOVE uABI", in v6.8). The mapping there keeps its own flags: MADV_HUGEPAGE could not
be taken back from it without leaving MADV_NOHUGEPAGE behind. Where the kernel has no such call, pages are filled one by
one.

Nothing is lost. A program may have huge pages now where it had small ones, as if khugepaged had been there: not where
the image has MADV_NOHUGEPAGE or PR_SET_THP_DISABLE, or the machine is set to "never".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from crtool.abi import mman
from crtool.abi import userfaultfd as uffd
from crtool.errors import RemoteCallError
from crtool.puppet.batch import Batch, Call
from crtool.puppet.puppet import Puppet
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import Piece

__all__ = ["WORTH_IT", "fill", "page_size", "split"]

_FOLDER = "/sys/kernel/mm/transparent_hugepage"
# So much is read into the window at a time: 32 MiB and 128 MiB take the same time.
_WINDOW = 32 << 20
# Bytes that pay for the window and the userfaultfd.
WORTH_IT = 8 << 20


def page_size() -> int:
    """The size of a huge page, 0 if the machine gives out none."""
    try:
        with open(f"{_FOLDER}/enabled", "rb") as file:
            if b"[never]" in file.read():
                return 0
        with open(f"{_FOLDER}/hpage_pmd_size", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def split(pieces: Sequence[Piece], records: Sequence[MappingRecord], size: int) -> tuple[list[Piece], list[Piece]]:
    """*pieces* as those that are whole huge pages of *size* bytes in mappings which may have them, and the others.

    Both in the order of their addresses, as *pieces* and *records* are.
    """
    huge: list[Piece] = []
    others: list[Piece] = []
    rest = iter(records)
    record = next(rest, None)
    for piece in pieces:
        start, end = piece.start, piece.start + piece.length

        def part(first: int, last: int, whole: Piece = piece) -> Piece:
            return Piece(first, last - first, whole.offset + first - whole.start)

        while start < end:
            while record is not None and record.end <= start:
                record = next(rest, None)
            stop = end if record is None else min(end, record.end)
            first, last = -(-start // size) * size, stop // size * size
            if record is None or not _may_have(record) or first >= last:
                others.append(part(start, stop))
            else:
                if start < first:
                    others.append(part(start, first))
                huge.append(part(first, last))
                if last < stop:
                    others.append(part(last, stop))
            start = stop
    return huge, others


def _may_have(record: MappingRecord) -> bool:
    """Whether pages can be moved there: it is, while it is filled, readable, writable and nothing else.

    With MADV_HUGEPAGE it is filled with huge pages anyway.
    """
    return (
        record.inode < 0
        and not record.shared
        and not record.protection & mman.PROT_EXEC
        and not record.flags & (mman.MAP_HUGETLB | mman.MAP_GROWSDOWN)
        and mman.MADV_HUGEPAGE not in record.advice
        and mman.MADV_NOHUGEPAGE not in record.advice
    )


def fill(
    puppet: Puppet, image: int, pieces: Sequence[Piece], records: Sequence[MappingRecord], size: int
) -> list[Piece]:
    """Fills *pieces* from the image, open as *image* in the puppet; returns those that are still to be filled.

    *records*: the mappings in which they are. Nothing of these has been touched yet.
    """
    window, door = _open(puppet, list(_wards(pieces, records)), size)
    if not window:
        return list(pieces)
    batch = Batch()
    steps: list[tuple[Piece, Call, Call]] = []
    for piece in pieces:
        for done in range(0, piece.length, _WINDOW):
            step = Piece(piece.start + done, min(_WINDOW, piece.length - done), piece.offset + done)
            read = batch.call("pread64", image, window, step.length, step.offset, must=False)
            args = uffd.MOVE.pack(step.start, window, step.length, uffd.MOVE_MODE_DONTWAKE, 0)
            move = batch.call("ioctl", door, uffd.UFFDIO_MOVE, args, must=False, label=f"{step.start:x}")
            steps.append((step, read, move))
    batch.call("close", door)
    batch.call("munmap", window, _WINDOW)
    puppet.run(batch)
    return [step for step, read, move in steps if not (move.ok and read.ok and read.value == step.length)]


def _wards(pieces: Sequence[Piece], records: Sequence[MappingRecord]) -> Iterator[MappingRecord]:
    """Those of *records* in which there are pieces."""
    rest = iter(pieces)
    piece = next(rest, None)
    for record in records:
        while piece is not None and piece.start < record.start:
            piece = next(rest, None)
        if piece is None:
            return
        if piece.start < record.end:
            yield record


def _open(puppet: Puppet, wards: Sequence[MappingRecord], size: int) -> tuple[int, int]:
    """The address of a window and the number of a userfaultfd that has charge of *wards*, (0, 0) if there is none.

    It has charge of whole mappings: one that is split may not grow together again.
    """
    readwrite = mman.PROT_READ | mman.PROT_WRITE
    flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE
    batch = Batch()
    room = batch.call("mmap", 0, _WINDOW + size, readwrite, flags, -1, 0, must=False, label="window")
    puppet.run(batch)
    if not room.ok:
        return 0, 0  # not enough address space, or memory for which nobody has to answer
    window = -(-room.value // size) * size
    batch = Batch()
    if window > room.value:
        batch.call("munmap", room.value, window - room.value)
    if (rest := room.value + size - window) > 0:
        batch.call("munmap", window + _WINDOW, rest)
    batch.call("madvise", window, _WINDOW, mman.MADV_HUGEPAGE, must=False)
    door = batch.call("userfaultfd", os.O_CLOEXEC | uffd.USER_MODE_ONLY)
    batch.call("ioctl", door, uffd.UFFDIO_API, uffd.API.pack(uffd.UFFD_API, uffd.FEATURE_MOVE, 0))
    for ward in wards:
        args = uffd.REGISTER.pack(ward.start, ward.size, uffd.REGISTER_MODE_MISSING, 0)
        batch.call("ioctl", door, uffd.UFFDIO_REGISTER, args, label=f"{ward.start:x}")
    try:
        puppet.run(batch)
    except RemoteCallError:
        if door.ok:
            puppet.call("close", door.value)
        puppet.call("munmap", window, _WINDOW)
        return 0, 0
    return window, door.value
