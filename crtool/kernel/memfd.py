"""Memory that can be shared by descriptor: memfd_create(2), and shared anonymous memory."""

from __future__ import annotations

import ctypes
import fcntl
import os

from crtool.abi import mman
from crtool.abi.fcntl import F_ADD_SEALS, MFD_CLOEXEC, MFD_EXEC
from crtool.kernel.syscall import syscall

__all__ = ["create", "seal", "shared_anonymous"]


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


def shared_anonymous(size: int) -> int:
    """A descriptor for new shared anonymous memory: the very kind that mmap(MAP_SHARED | MAP_ANONYMOUS) makes.

    It is opened through /proc/self/map_files, for which CAP_CHECKPOINT_RESTORE is needed; without it, a memfd does
    the same under another name.
    """
    size = -(-size // 4096) * 4096
    prot = mman.PROT_READ | mman.PROT_WRITE
    flags = mman.MAP_SHARED | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE
    start = syscall("mmap", 0, size, prot, flags, -1, 0)
    try:
        return os.open(f"/proc/self/map_files/{start:x}-{start + size:x}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        fd = create(b"shared", MFD_CLOEXEC)
        os.ftruncate(fd, size)
        return fd
    finally:
        syscall("munmap", start, size)
