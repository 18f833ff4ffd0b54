"""Which pages a process has: PAGEMAP_SCAN and the fallback say the same."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest

from crtool.abi import mman
from crtool.kernel import pagemap
from crtool.kernel.syscall import memory_address

PAGES = 64
SHOWN = mman.PAGE_IS_PRESENT | mman.PAGE_IS_SWAPPED | mman.PAGE_IS_FILE


@pytest.fixture
def own_pagemap() -> Iterator[int]:
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


def by_page(regions: list[pagemap.Region]) -> dict[int, int]:
    """Address of each page → what both ways can tell about it."""
    return {
        address: kind & SHOWN for start, end, kind in regions for address in range(start, end, mmap.PAGESIZE)
    }


@pytest.mark.parametrize("shared", [False, True])
def test_both_ways_find_the_same_pages(own_pagemap: int, shared: bool) -> None:
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=flags) as area:
        for page in (0, 1, 2, 7, 40, 63):
            area[page * mmap.PAGESIZE] = 1
        view = memoryview(area)
        start = memory_address(view)
        scanned = pagemap.scan(own_pagemap, start, start + len(area))
        read = pagemap._read_entries(own_pagemap, start, start + len(area))
        view.release()

    assert by_page(scanned) == by_page(read)
    assert [(address - start) // mmap.PAGESIZE for address in by_page(read)] == [0, 1, 2, 7, 40, 63]


def test_many_regions_come_once_and_in_order(own_pagemap: int) -> None:
    """More than the 512 that the kernel collects before it hands them out."""
    count = 1500
    with mmap.mmap(-1, 2 * count * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(count):
            area[2 * page * mmap.PAGESIZE] = 1
        view = memoryview(area)
        start = memory_address(view)
        regions = pagemap.scan(own_pagemap, start, start + len(area))
        view.release()

    assert [2 * page for page in range(count)] == [(first - start) // mmap.PAGESIZE for first, _, _ in regions]
