"""Pages of zeros, which need not be stored.

The kernel keeps a page of its own for each that was written, even with zeros; freed arenas and fresh arrays are full of
them. Private anonymous memory that is not there reads as zeros too.

We look at a few pages of each window of memory, through /proc/PID/mem, and at all pages of a window in which one of
them is zero. So little time is lost on memory without any; single zero pages among others may be stored as they are.

Nothing has to be rebuilt: what is not filled in is zero.

Lost is that such a page was there: the program gets a new one when it writes to it. Memory of files and of hugetlbfs is
not looked at.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence

from xxhash import xxh3_128_digest

from crtool.abi import mman
from crtool.arch import cpu
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import ExtentRecord, without

__all__ = ["Read", "may_have_zeros", "without_zeros"]

Read = Callable[[int, memoryview], int]
"""Fills a view with the memory at an address; returns how much has come."""

_WINDOW = 1 << 20  # bytes that are judged by their samples
_SAMPLES = 8  # pages of a window
_WORD = 8
_ZERO_PAGE = xxh3_128_digest(bytes(cpu.PAGE_SIZE))
_ZERO_WINDOW = xxh3_128_digest(bytes(_WINDOW))


def may_have_zeros(mapping: MappingRecord) -> bool:
    """Whether zeros of *mapping* are left out."""
    return mapping.inode < 0 and not mapping.flags & mman.MAP_HUGETLB and mapping.size >= _WINDOW


def without_zeros(
    read: Read, extents: Sequence[ExtentRecord], mappings: Sequence[MappingRecord]
) -> tuple[tuple[ExtentRecord, ...], int]:
    """*extents* without the zero pages that were found, and how many bytes these had.

    *read*: the memory of a task that stands still.
    """
    holes = list(_holes(read, extents, mappings))
    if not holes:
        return tuple(extents), 0
    return tuple(without(extents, holes)), sum(end - start for start, end in holes)


def _holes(
    read: Read, extents: Sequence[ExtentRecord], mappings: Sequence[MappingRecord]
) -> Iterator[tuple[int, int]]:
    """Runs of zero pages, in order; each lies within one extent."""
    view = memoryview(mmap.mmap(-1, _WINDOW))
    anonymous = iter([mapping for mapping in mappings if may_have_zeros(mapping)])
    mapping = next(anonymous, None)
    for extent in extents:
        end = extent.start + extent.length
        while mapping is not None and mapping.end <= extent.start:
            mapping = next(anonymous, None)
        while mapping is not None and mapping.start < end:
            yield from _joined(_windows(read, max(extent.start, mapping.start), min(end, mapping.end), view))
            if mapping.end > end:
                break
            mapping = next(anonymous, None)


def _windows(read: Read, start: int, end: int, view: memoryview) -> Iterator[tuple[int, int]]:
    for at in range(start, end, _WINDOW):
        size = min(_WINDOW, end - at)
        step = max(size // _SAMPLES // cpu.PAGE_SIZE, 1) * cpu.PAGE_SIZE
        page = view[: cpu.PAGE_SIZE]
        for sample in range(at, at + size, step):
            if read(sample, page) == cpu.PAGE_SIZE and xxh3_128_digest(page) == _ZERO_PAGE:
                yield from _zero_pages(read, at, view[:size])
                break


def _zero_pages(read: Read, start: int, view: memoryview) -> Iterator[tuple[int, int]]:
    done = 0
    while done < len(view):
        got = read(start + done, view[done:])
        if not got:
            return
        done += got
    if len(view) == _WINDOW and xxh3_128_digest(view) == _ZERO_WINDOW:
        yield start, start + _WINDOW
        return
    first_words = view.cast("Q")[:: cpu.PAGE_SIZE // _WORD].tolist()
    for number, word in enumerate(first_words):
        offset = number * cpu.PAGE_SIZE
        if word == 0 and xxh3_128_digest(view[offset : offset + cpu.PAGE_SIZE]) == _ZERO_PAGE:
            yield start + offset, start + offset + cpu.PAGE_SIZE


def _joined(runs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same runs, those that follow each other as one."""
    start = end = 0
    for first, last in runs:
        if first == end:
            end = last
            continue
        if end:
            yield start, end
        start, end = first, last
    if end:
        yield start, end
