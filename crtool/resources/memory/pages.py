"""The pages of an address space that its mappings do not imply.

The kernel keeps, for each mapping, the pages that were touched. Pages of a file need not be saved,
but pages that a private mapping has copied on a write do.

We ask PAGEMAP_SCAN which pages are present or swapped out and not a file's, and copy them through /proc/PID/mem, which
also reaches what the program itself may not read. Not by process_vm_readv(2): that pins pages, and to be pinned a page
that has been shared since a fork is copied first (gup_must_unshare(), a7f226604170 in v5.19).

We rebuild them by preadv(2) from the image, made by the puppet itself: pages of one address space lie in the image in
the order of their addresses. From a pipe, crtool reads and writes them into the puppet.

Untouched pages and the kernel's zero page are not stored; zeros.py leaves out more. Nothing is lost but what is left
out on purpose: pages of mappings that a fork empties (MADV_WIPEONFORK), and those that somebody wants to be left out.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from crtool.abi import mman
from crtool.errors import TargetDied
from crtool.kernel import pagemap
from crtool.procfs.maps import of_brothers
from crtool.puppet.batch import Batch, Call
from crtool.record import dataclass
from crtool.resources.memory.mappings import GuardRecord, MappingRecord

__all__ = [
    "ExtentRecord",
    "PageSink",
    "Piece",
    "SharedRecord",
    "Stretch",
    "after",
    "copy",
    "fill",
    "pieces",
    "present",
    "readable",
    "saved",
    "total",
    "without",
]

_IOV_MAX = 1024
_LARGE = 1 << 20  # bytes of a mapping
_MAX_READ = 1 << 30  # bytes of one preadv; the kernel's limit is 2 GiB less a page


@dataclass(frozen=True)
class ExtentRecord:
    """Pages that follow each other in memory and in the image."""

    start: int  # address
    length: int  # bytes


@dataclass(frozen=True)
class SharedRecord:
    """Pages that follow each other, and whose bytes the image has already, as pages of another address space."""

    start: int  # address, the same there
    length: int  # bytes
    data: int  # offset in the data area


@dataclass(frozen=True)
class Piece:
    """Memory that is to be filled from one place in the image."""

    start: int  # address
    length: int  # bytes
    offset: int  # in the file


@dataclass(frozen=True)
class Stretch:
    """What has to be known of a mapping to find its pages; MappingRecord tells more."""

    start: int
    end: int
    shared: bool
    inode: int  # negative if there is no file behind it


class PageSink(Protocol):
    """Where pages go: the image being written."""

    def buffer(self) -> memoryview: ...
    def submit(self, nbytes: int) -> None: ...


def saved(
    pid: int, mappings: Sequence[MappingRecord | Stretch], left_out: Collection[int] = ()
) -> tuple[tuple[ExtentRecord, ...], tuple[GuardRecord, ...], int]:
    """The extents of *mappings* that have to be saved, the guard regions, and the bytes present but skipped.

    *left_out*: where those mappings start of which no page is saved.
    """
    extents: list[list[int]] = []
    guards: list[GuardRecord] = []
    skipped = 0
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for first, last in _runs(mappings):
            inside = iter(mappings[first:last])
            current = next(inside)
            files = not _is_large(current)
            for start, end, kind in pagemap.scan(fd, current.start, mappings[last - 1].end, files=files):
                if kind & mman.PAGE_IS_GUARD:
                    guards.append(GuardRecord(start, end))
                    continue
                while start < end:
                    while start >= current.end:
                        current = next(inside)
                    stop = min(end, current.end)
                    private_file = current.inode >= 0 and kind & mman.PAGE_IS_FILE
                    if kind & mman.PAGE_IS_PFNZERO or private_file or current.start in left_out:
                        skipped += stop - start
                    elif extents and extents[-1][1] == start:
                        extents[-1][1] = stop
                    else:
                        extents.append([start, stop])
                    start = stop
    finally:
        os.close(fd)
    return tuple(ExtentRecord(start, end - start) for start, end in extents), tuple(guards), skipped


def present(pid: int, start: int, end: int) -> int:
    """Bytes of *start*…*end* that are in memory."""
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        regions = pagemap.scan(fd, start, end)
    finally:
        os.close(fd)
    return sum(last - first for first, last, kind in regions if kind & mman.PAGE_IS_PRESENT)


@of_brothers
def _runs(mappings: Sequence[MappingRecord | Stretch]) -> list[tuple[int, int]]:
    """Index ranges of private mappings that follow each other without a gap and are alike: one scan serves them all."""
    found = []
    first = 0
    while first < len(mappings):
        if mappings[first].shared:
            first += 1
            continue
        large = _is_large(mappings[first])
        last = first + 1
        while last < len(mappings):
            before, mapping = mappings[last - 1], mappings[last]
            if mapping.shared or mapping.start != before.end or _is_large(mapping) is not large:
                break
            last += 1
        found.append((first, last))
        first = last
    return found


def _is_large(mapping: MappingRecord | Stretch) -> bool:
    """Whether it is worth a scan of its own that no page of *mapping* can be a file's."""
    return mapping.inode < 0 and mapping.end - mapping.start >= _LARGE


def copy(pid: int, memory: int, extents: Sequence[ExtentRecord], sink: PageSink) -> None:
    """Copies the pages of *extents* to *sink*. *memory*: a descriptor of /proc/PID/mem."""
    if not extents:
        return
    view = sink.buffer()
    used = 0
    pending: list[tuple[int, int]] = []
    for extent in extents:
        start, left = extent.start, extent.length
        while left:
            room = min(left, len(view) - used)
            pending.append((start, room))
            used, start, left = used + room, start + room, left - room
            if used == len(view):
                _read(pid, memory, pending, view)
                sink.submit(used)
                view, used, pending = sink.buffer(), 0, []
    if used:
        _read(pid, memory, pending, view[:used])
    sink.submit(used)


def _read(pid: int, memory: int, ranges: list[tuple[int, int]], view: memoryview) -> None:
    position = 0
    for start, length in ranges:
        part = view[position : position + length]
        while part:
            try:
                done = os.preadv(memory, [part], start)
            except OSError as error:
                if error.errno in (errno.EIO, errno.EFAULT):
                    raise OSError(error.errno, f"PID {pid}: page at {start:#x} cannot be read") from None
                raise
            if not done:
                raise TargetDied(pid)
            part, start = part[done:], start + done
        position += length


def fill(batch: Batch, image: int, pieces: Sequence[Piece]) -> list[tuple[Call, int]]:
    """Adds the reads that fill *pieces* from the image, open as *image* in the puppet.

    Returns each call with the bytes that it has to bring: a file that got shorter gives fewer.
    """
    reads: list[tuple[Call, int]] = []
    vector: list[tuple[int, int]] = []
    offset = size = 0

    def push() -> None:
        nonlocal size
        if vector:
            reads.append((_read_vector(batch, image, offset, vector), size))
            vector.clear()
            size = 0

    for piece in pieces:
        start, left, at = piece.start, piece.length, piece.offset
        while left:
            if size == _MAX_READ or len(vector) == _IOV_MAX or at != offset + size:
                push()
                offset = at
            part = min(left, _MAX_READ - size)
            vector.append((start, part))
            start, left, at, size = start + part, left - part, at + part, size + part
    push()
    return reads


def pieces(extents: Sequence[ExtentRecord], offset: int) -> list[Piece]:
    """Where *extents*, which lie one after the other from *offset* of the image on, have to be read from."""
    found = []
    for extent in extents:
        found.append(Piece(extent.start, extent.length, offset))
        offset += extent.length
    return found


def _read_vector(batch: Batch, image: int, offset: int, vector: list[tuple[int, int]]) -> Call:
    packed = b"".join(struct.pack("<QQ", *part) for part in vector)
    return batch.call("preadv", image, packed, len(vector), offset, 0, label=f"{vector[0][0]:x}")


def after(extents: Sequence[ExtentRecord], nbytes: int) -> list[ExtentRecord]:
    """*extents* without their first *nbytes*."""
    rest = []
    for extent in extents:
        cut = min(nbytes, extent.length)
        nbytes -= cut
        if cut < extent.length:
            rest.append(ExtentRecord(extent.start + cut, extent.length - cut))
    return rest


def without(extents: Sequence[ExtentRecord], holes: Sequence[tuple[int, int]]) -> Iterator[ExtentRecord]:
    """*extents* without *holes* (start, end); both in order, and no hole reaches out of an extent."""
    rest = iter(holes)
    hole = next(rest, None)
    for extent in extents:
        start, end = extent.start, extent.start + extent.length
        while hole is not None and hole[0] < end:
            if hole[0] > start:
                yield ExtentRecord(start, hole[0] - start)
            start = hole[1]
            hole = next(rest, None)
        if start < end:
            yield ExtentRecord(start, end - start)


def readable(
    extents: Sequence[ExtentRecord], records: Sequence[MappingRecord]
) -> Iterator[tuple[bool, list[ExtentRecord]]]:
    """*extents* in runs of those that lie in mappings which the program may read, and of others."""
    run: list[ExtentRecord] = []
    kind = True
    rest = iter(records)
    mapping = next(rest)
    for extent in extents:
        start, end = extent.start, extent.start + extent.length
        while start < end:
            while mapping.end <= start:
                mapping = next(rest)
            may_read = bool(mapping.protection & mman.PROT_READ)
            if run and may_read is not kind:
                yield kind, run
                run = []
            stop = min(end, mapping.end)
            kind = may_read
            run.append(ExtentRecord(start, stop - start))
            start = stop
    if run:
        yield kind, run


def total(extents: Sequence[ExtentRecord]) -> int:
    """Bytes of all *extents*, a multiple of the page size."""
    return sum(extent.length for extent in extents)
