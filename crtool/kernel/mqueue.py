"""POSIX message queues (mq_overview(7)) by their system calls, which call them without the slash in front."""

from __future__ import annotations

import ctypes
import struct

from crtool.kernel.syscall import memory_address, syscall

__all__ = ["attributes", "open_queue", "unlink"]

_ATTR = struct.Struct("<8q")  # struct mq_attr: flags, most messages, largest message, messages now, four reserved


def attributes(fd: int) -> tuple[int, int, int]:
    """How many messages *fd* can hold, how large, and how many are in it; OSError if it is no message queue."""
    buffer = bytearray(_ATTR.size)
    syscall("mq_getsetattr", fd, 0, memory_address(memoryview(buffer)))
    _, most, largest, now, *_ = _ATTR.unpack(buffer)
    return most, largest, now


def open_queue(name: bytes, flags: int, mode: int = 0, most: int = 0, largest: int = 0) -> int:
    """mq_open(3); *mode*, *most* and *largest* count for one that is made."""
    text = ctypes.create_string_buffer(name)
    buffer = bytearray(_ATTR.pack(0, most, largest, 0, 0, 0, 0, 0))
    address = memory_address(memoryview(buffer)) if most else 0
    return syscall("mq_open", ctypes.addressof(text), flags, mode, address)


def unlink(name: bytes) -> None:
    """mq_unlink(3)."""
    text = ctypes.create_string_buffer(name)
    syscall("mq_unlink", ctypes.addressof(text))
