"""Memory that can be shared by descriptor: memfd_create(2), and shared anonymous memory."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os

from crtool.abi import mman
from crtool.abi.fcntl import F_ADD_SEALS, MFD_CLOEXEC, MFD_EXEC, MFD_HUGETLB
from crtool.errors import EnvironmentDiffers
from crtool.kernel.syscall import syscall

__all__ = ["create", "put", "seal", "shared_anonymous"]


def create(name: bytes, flags: int) -> int:
    """memfd_create(2); MFD_EXEC is left out where the kernel does not know it (before 6.3 all are executable)."""
    buffer = ctypes.create_string_buffer(name)
    try:
        return syscall("memfd_create", ctypes.addressof(buffer), flags)
    except OSError:
        if not flags & MFD_EXEC:
            raise
        return syscall("memfd_create", ctypes.addressof(buffer), flags & ~MFD_EXEC)


def seal(fd: int, seals: int) -> None:
    """Adds seals to a memfd."""
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)


def put(fd: int, view: memoryview, offset: int) -> int:
    """pwrite(2), also to what consists of huge pages, which can be written to by way of a mapping only."""
    try:
        return os.pwrite(fd, view, offset)
    except OSError as error:
        page_size = os.fstatvfs(fd).f_bsize
        if error.errno != errno.EINVAL or page_size <= mmap.PAGESIZE:
            raise
    start = offset - offset % page_size
    length = -(-(offset + len(view) - start) // page_size) * page_size
    with mmap.mmap(fd, length, offset=start) as room:
        room[offset - start : offset - start + len(view)] = view
    return len(view)


def shared_anonymous(size: int, huge_page_size: int = 0) -> int:
    """A descriptor for new shared anonymous memory: the very kind that mmap(MAP_SHARED | MAP_ANONYMOUS) makes.

    Of huge pages if they have a size, in bytes; EnvironmentDiffers if there are too few. It is opened through
    /proc/self/map_files, for which CAP_CHECKPOINT_RESTORE is needed; without it, a memfd does the same under another
    name.
    """
    page_size = huge_page_size or 4096
    size = -(-size // page_size) * page_size
    prot = mman.PROT_READ | mman.PROT_WRITE
    flags = mman.MAP_SHARED | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE
    kind = huge_page_size.bit_length() - 1 if huge_page_size else 0
    if huge_page_size:
        flags = mman.MAP_SHARED | mman.MAP_ANONYMOUS | mman.MAP_HUGETLB | kind << mman.MAP_HUGE_SHIFT
    try:
        start = syscall("mmap", 0, size, prot, flags, -1, 0)
    except OSError as error:
        if not huge_page_size:
            raise
        cause = f"{size >> 10:,} KiB of huge pages cannot be had: {error.strerror}"
        raise EnvironmentDiffers(cause, "make more of them: sysctl vm.nr_hugepages") from None
    try:
        return os.open(f"/proc/self/map_files/{start:x}-{start + size:x}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        fd = create(b"shared", MFD_CLOEXEC | (MFD_HUGETLB | kind << 26 if huge_page_size else 0))
        os.ftruncate(fd, size)
        return fd
    finally:
        syscall("munmap", start, size)
