"""Which pages of another process hold what: PAGEMAP_SCAN (since 6.7), with /proc/PID/pagemap as the fallback.

Source: Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from array import array

from crtool.abi import mman
from crtool.arch import cpu
from crtool.kernel.ranges import joined
from crtool.kernel.syscall import memory_address

__all__ = ["Region", "hollow", "is_tracked", "protect", "protected", "regions", "scan", "written"]

Region = tuple[int, int, int]  # start, end, PAGE_IS_* categories

_VECTOR = 4096  # struct page_region that one call can return
_ARG = struct.Struct("<12Q")
_ASKED = mman.PAGE_IS_PRESENT | mman.PAGE_IS_SWAPPED | mman.PAGE_IS_PFNZERO | mman.PAGE_IS_HUGE


def scan(pagemap: int, start: int, end: int, *, files: bool = True) -> list[Region]:
    """The regions of *start*…*end* that have pages, present or swapped out, with their categories.

    *pagemap* is a descriptor of /proc/PID/pagemap. Guard regions come with PAGE_IS_GUARD where the kernel
    tells (6.15). *files*: whether PAGE_IS_FILE is of interest, for which the kernel has to look at each page itself,
    and not only at the page table: that takes four times as long.
    """
    asked = _ASKED | (mman.PAGE_IS_FILE if files else 0)
    try:
        return _scan(pagemap, start, end, asked, mman.PAGE_IS_GUARD)
    except OSError as error:
        if error.errno == errno.EINVAL:
            try:
                return _scan(pagemap, start, end, asked, 0)  # before 6.15 there is no PAGE_IS_GUARD
            except OSError as again:
                if again.errno not in (errno.EINVAL, errno.ENOTTY):
                    raise
        elif error.errno != errno.ENOTTY:
            raise
    return _read_entries(pagemap, start, end)


def _scan(pagemap: int, start: int, end: int, asked: int, extra: int) -> list[Region]:
    any_of = mman.PAGE_IS_PRESENT | mman.PAGE_IS_SWAPPED | extra
    return _walk(pagemap, start, end, (0, 0, any_of, asked | extra))


def protected(pagemap: int, start: int, end: int) -> list[tuple[int, int]]:
    """Where *start*…*end* is write-protected by a userfaultfd, page or mark; raises OSError before 6.7."""
    there = mman.PAGE_IS_PRESENT | mman.PAGE_IS_SWAPPED
    masks = mman.PAGE_IS_WRITTEN, mman.PAGE_IS_WRITTEN, there, there
    return [(first, last) for first, last, _ in _walk(pagemap, start, end, masks)]


def hollow(pagemap: int, tid: int, start: int, end: int) -> list[tuple[int, int]]:
    """Where *start*…*end*, memory of *tid*'s process that a userfaultfd gives out, has a mark of its write protection
    (UFFD_FEATURE_WP_UNPOPULATED), but no page. The page map shows it as swapped out; reading it tells: that does not
    wait for anybody, but fails (get_user_pages_remote() without FOLL_UNLOCKABLE).
    """
    marks = mman.PAGE_IS_WRITTEN, mman.PAGE_IS_WRITTEN | mman.PAGE_IS_SWAPPED, 0, mman.PAGE_IS_SWAPPED
    found = []
    memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for first, last, _ in _walk(pagemap, start, end, marks):
            for page in range(first, last, cpu.PAGE_SIZE):
                try:
                    os.pread(memory, 1, page)
                except OSError:
                    found.append((page, page + cpu.PAGE_SIZE))
    finally:
        os.close(memory)
    return joined(found)


def _walk(pagemap: int, start: int, end: int, masks: tuple[int, int, int, int]) -> list[Region]:
    """*masks*: PAGE_IS_* that are inverted, must be there, of which one must, and that are told."""
    found: list[Region] = []
    most = max(1, min(_VECTOR, (end - start) // cpu.PAGE_SIZE))
    vector = bytearray(24 * most)
    at = memory_address(memoryview(vector))
    while start < end:
        arg = bytearray(_ARG.pack(_ARG.size, 0, start, end, 0, at, most, 0, *masks))
        count = fcntl.ioctl(pagemap, mman.PAGEMAP_SCAN, arg, True)
        words = struct.unpack_from(f"<{3 * count}Q", vector)
        found.extend(zip(words[::3], words[1::3], words[2::3], strict=True))
        walked = struct.unpack_from("<Q", arg, 32)[0]  # walk_end
        # A kernel that has had to empty its own buffer of 512 regions on the way tells where that was, instead of where
        # it has come to (pagemap_scan_flush_buffer() in fs/proc/task_mmu.c): those behind it would be found twice.
        start = max(walked, found[-1][1]) if count else walked
    return found


def is_tracked(pagemap: int, address: int) -> bool:
    """Whether the mapping at *address* is in a userfaultfd's asynchronous write protection: nobody waits for anything
    in it, but the page map tells what has been written.
    """
    vector = bytearray(24)
    arg = bytearray(
        _ARG.pack(
            _ARG.size, 0, address, address + cpu.PAGE_SIZE, 0, memory_address(memoryview(vector)), 1, 0, 0, 0,
            mman.PAGE_IS_WPALLOWED, mman.PAGE_IS_WPALLOWED,
        )
    )  # fmt: skip
    try:
        return bool(fcntl.ioctl(pagemap, mman.PAGEMAP_SCAN, arg, True))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return False  # before 6.7
        raise


def protect(pagemap: int, start: int, end: int) -> bytes:
    """Protects all pages of *start*…*end* that are there and are not protected; tells which these were, as struct
    page_region for :func:`regions`: so little is done with each of them, since somebody stands still meanwhile.

    All of it has to be in asynchronous write protection, else OSError (EPERM). Pages that are not there get no
    protection, nor a page table.
    """
    found = bytearray()
    vector = bytearray(24 * _VECTOR)
    at = memory_address(memoryview(vector))
    flags = mman.PM_SCAN_WP_MATCHING | mman.PM_SCAN_CHECK_WPASYNC
    there = mman.PAGE_IS_PRESENT | mman.PAGE_IS_SWAPPED
    while start < end:
        arg = bytearray(
            _ARG.pack(
                _ARG.size, flags, start, end, 0, at, _VECTOR, 0, 0, mman.PAGE_IS_WRITTEN, there, mman.PAGE_IS_WRITTEN
            )
        )
        count = fcntl.ioctl(pagemap, mman.PAGEMAP_SCAN, arg, True)
        found += memoryview(vector)[: 24 * count]
        start = struct.unpack_from("<Q", arg, 32)[0]
        if count:  # see _scan()
            start = max(start, struct.unpack_from("<Q", vector, 24 * count - 16)[0])
    return bytes(found)


def written(pagemap: int, start: int, end: int, enough: int, *, files: bool = False) -> int:
    """Bytes of the pages of *start*…*end* that are there and not protected; what is more than *enough* is not counted,
    and neither are a file's, if there may be such *files*. OSError before 6.7.
    """
    inverted = mman.PAGE_IS_FILE if files else 0
    asked = mman.PAGE_IS_WRITTEN | inverted
    found = 0
    vector = bytearray(24 * _VECTOR)
    at = memory_address(memoryview(vector))
    there = mman.PAGE_IS_PRESENT | mman.PAGE_IS_SWAPPED
    while start < end and found <= enough:
        most = enough // cpu.PAGE_SIZE + 1
        arg = bytearray(
            _ARG.pack(
                _ARG.size, 0, start, end, 0, at, _VECTOR, most, inverted, asked, there, mman.PAGE_IS_WRITTEN
            )
        )
        count = fcntl.ioctl(pagemap, mman.PAGEMAP_SCAN, arg, True)
        words = struct.unpack_from(f"<{3 * count}Q", vector)
        found += sum(words[1::3]) - sum(words[::3])
        walked = struct.unpack_from("<Q", arg, 32)[0]
        start = max(walked, words[-2]) if count else walked  # see _scan()
    return found


def regions(found: bytes) -> list[tuple[int, int]]:
    """Start and end of what :func:`protect` has found."""
    words = array("Q", found)
    return list(zip(words[::3], words[1::3], strict=True))


def _read_entries(pagemap: int, start: int, end: int) -> list[Region]:
    """As :func:`_scan`, from the 64-bit entries: bit 63 present, 62 swapped, 61 file page or shared, 58 guard."""
    found: list[Region] = []
    page = cpu.PAGE_SIZE
    step = 1 << 16  # pages per read
    for first in range(start, end, step * page):
        count = min(step, (end - first) // page)
        entries = array("Q", os.pread(pagemap, 8 * count, first // page * 8))
        for index, entry in enumerate(entries):
            kind = (
                (mman.PAGE_IS_PRESENT if entry >> 63 & 1 else 0)
                | (mman.PAGE_IS_SWAPPED if entry >> 62 & 1 else 0)
                | (mman.PAGE_IS_FILE if entry >> 61 & 1 else 0)
                | (mman.PAGE_IS_GUARD if entry >> 58 & 1 else 0)
            )
            if not kind:
                continue
            address = first + index * page
            if found and found[-1][1] == address and found[-1][2] == kind:
                found[-1] = (found[-1][0], address + page, kind)
            else:
                found.append((address, address + page, kind))
    return found
