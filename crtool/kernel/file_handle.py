"""Files by their handles: open_by_handle_at(2)."""

from __future__ import annotations

import struct

from crtool.kernel.syscall import memory_address, syscall

__all__ = ["open_handle"]


def open_handle(mount: int, kind: int, handle: bytes, flags: int) -> int:
    """Opens what *handle* means in the filesystem that *mount*, any descriptor there, is on."""
    buffer = bytearray(struct.pack("<Ii", len(handle), kind) + handle)  # struct file_handle
    return syscall("open_by_handle_at", mount, memory_address(memoryview(buffer)), flags)
