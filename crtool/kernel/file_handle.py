"""Files by their handles: name_to_handle_at(2), open_by_handle_at(2)."""

from __future__ import annotations

import struct

from crtool.kernel.syscall import memory_address, syscall

__all__ = ["handle_of", "open_handle"]

_EMPTY_PATH = 0x1000  # AT_EMPTY_PATH
_MOST = 128  # MAX_HANDLE_SZ


def handle_of(fd: int) -> bytes:
    """The handle of what *fd* (ours) refers to, with its kind; OSError where the filesystem has none."""
    buffer = bytearray(struct.pack("<Ii", _MOST, 0) + bytes(_MOST))
    name, mount = bytearray(1), bytearray(4)
    at = [memory_address(memoryview(each)) for each in (name, buffer, mount)]
    syscall("name_to_handle_at", fd, *at, _EMPTY_PATH)
    size, _ = struct.unpack_from("<Ii", buffer)
    return bytes(buffer[4 : 8 + size])


def open_handle(mount: int, kind: int, handle: bytes, flags: int) -> int:
    """Opens what *handle* means in the filesystem that *mount*, any descriptor there, is on."""
    buffer = bytearray(struct.pack("<Ii", len(handle), kind) + handle)  # struct file_handle
    return syscall("open_by_handle_at", mount, memory_address(memoryview(buffer)), flags)
