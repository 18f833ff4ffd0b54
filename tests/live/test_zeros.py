"""Zero pages are left out where there are many, and nothing else ever is."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
from collections.abc import Iterator
from functools import partial

import pytest

from crtool.arch import cpu
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import ExtentRecord
from crtool.resources.memory.zeros import without_zeros

PAGES = 2000
PAGE = cpu.PAGE_SIZE


@pytest.fixture
def area() -> Iterator[tuple[int, mmap.mmap, int]]:
    """Address and object of written memory, and a descriptor of /proc/self/mem."""
    memory = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    exported = ctypes.c_char.from_buffer(memory)
    yield ctypes.addressof(exported), memory, fd
    os.close(fd)
    del exported
    memory.close()


def anonymous(start: int, end: int, inode: int = -1) -> MappingRecord:
    return MappingRecord(start, end, 3, False, inode, 0, False, 0, (), False, False, False, 0, b"")


def reading(fd: int, address: int, view: memoryview) -> int:
    return os.preadv(fd, [view], address)


def left(extents: tuple[ExtentRecord, ...], start: int) -> set[int]:
    """The numbers of the pages in *extents*."""
    return {
        (at - start) // PAGE for extent in extents for at in range(extent.start, extent.start + extent.length, PAGE)
    }


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_what_is_left_out_is_zero_and_the_rest_is_whole(area: tuple[int, mmap.mmap, int], share: float) -> None:
    start, memory, fd = area
    random.seed(share)
    zero = {page for page in range(PAGES) if random.random() < share}
    for page in range(PAGES):
        # The only byte that is not zero may be the last one.
        memory[page * PAGE + (PAGE - 1 if page % 2 else 0)] = 0 if page in zero else 1
    everything = (ExtentRecord(start, 700 * PAGE), ExtentRecord(start + 700 * PAGE, (PAGES - 700) * PAGE))
    mapping = anonymous(start, start + PAGES * PAGE)

    kept, nbytes = without_zeros(partial(reading, fd), everything, [mapping])

    assert set(range(PAGES)) - zero <= left(kept, start)
    assert (PAGES - len(left(kept, start))) * PAGE == nbytes
    assert share < 0.5 or left(kept, start) == set(range(PAGES)) - zero


def test_zeros_of_a_file_are_stored(area: tuple[int, mmap.mmap, int]) -> None:
    """A private mapping of a file would show the file there."""
    start, memory, fd = area
    memory[:] = bytes(PAGES * PAGE)
    half = start + PAGES // 2 * PAGE
    everything = (ExtentRecord(start, PAGES * PAGE),)

    halves = [anonymous(start, half, inode=0), anonymous(half, start + PAGES * PAGE)]
    kept, _ = without_zeros(partial(reading, fd), everything, halves)

    assert (ExtentRecord(start, PAGES // 2 * PAGE),) == kept
