"""POSIX message queues (mq_overview(7)) by their system calls, which call them without the slash in front."""

from __future__ import annotations

import ctypes
import os
import struct

from crtool.kernel.syscall import memory_address, syscall

__all__ = ["attributes", "mounted", "open_queue", "send", "unlink"]

_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_CREATE = 6  # FSCONFIG_CMD_CREATE
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


def send(fd: int, priority: int, text: bytes) -> None:
    """mq_send(3); *fd* is non-blocking, or there is room."""
    buffer = bytearray(text or 1)
    syscall("mq_timedsend", fd, memory_address(memoryview(buffer)), len(text), priority, 0)


def mounted() -> int:
    """The folder of all queues of the IPC namespace that the caller is in, on a mount of its own (fsopen(2)).

    Its device is that of each file of a queue.
    """
    kind = ctypes.create_string_buffer(b"mqueue")
    context = syscall("fsopen", ctypes.addressof(kind), _CLOEXEC)
    try:
        syscall("fsconfig", context, _CREATE, 0, 0, 0)
        mount = syscall("fsmount", context, _CLOEXEC, 0)
        try:
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        finally:
            os.close(mount)
    finally:
        os.close(context)
