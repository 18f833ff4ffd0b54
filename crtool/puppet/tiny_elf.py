"""The program that a newborn executes, to be rid of everything else: elf(5), memfd_create(2)."""

from __future__ import annotations

import os
import struct

from crtool.arch import cpu
from crtool.kernel.syscall import memory_address, syscall

__all__ = ["memfd"]

_MFD_CLOEXEC, _MFD_EXEC = 1, 0x10
_SYSCALL = b"\x0f\x05\xc3"


def memfd(address: int) -> int:
    """A descriptor (close-on-exec) of one that lies at *address*; raises OSError."""
    buffer = bytearray(b"crtool\0")
    name = memory_address(memoryview(buffer))
    try:
        fd = syscall("memfd_create", name, _MFD_CLOEXEC | _MFD_EXEC)
    except OSError:
        fd = syscall("memfd_create", name, _MFD_CLOEXEC)  # before 6.3: every memfd is executable
    try:
        os.write(fd, _content(address))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _content(address: int) -> bytes:
    """An ELF executable whose only segment, at *address*, holds one `syscall; ret`."""
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    size = 64 + 56 + len(_SYSCALL)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, cpu.ELF_MACHINE, 1, address + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    read_execute = 5
    segment = struct.pack("<IIQQQQQQ", 1, read_execute, 0, address, address, size, size, cpu.PAGE_SIZE)
    return header + segment + _SYSCALL
