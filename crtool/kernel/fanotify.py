"""fanotify(7): groups and their marks."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from crtool.abi.capability import CAP_DATA, CAP_HEADER
from crtool.kernel.syscall import memory_address, syscall

__all__ = ["create", "mark", "without_capabilities"]

_AT_FDCWD = -100


def create(flags: int, event_flags: int) -> int:
    """A new group; *flags*: FAN_*, *event_flags*: O_* of the descriptors that it gives."""
    return syscall("fanotify_init", flags, event_flags)


def mark(fd: int, flags: int, mask: int, path: bytes) -> None:
    """Adds to or changes a mark of a group; *flags*: FAN_MARK_*, *mask*: FAN_* events."""
    name = ctypes.create_string_buffer(path)
    syscall("fanotify_mark", fd, flags, mask, _AT_FDCWD, ctypes.addressof(name))


@contextmanager
def without_capabilities() -> Iterator[None]:
    """This thread has no effective capability in the block (capset(2))."""
    header, sets = bytearray(CAP_HEADER), bytearray(CAP_DATA.size)
    syscall("capget", memory_address(memoryview(header)), memory_address(memoryview(sets)))
    words = CAP_DATA.unpack(sets)
    _set_capabilities(0, *words[1:3], 0, *words[4:])
    try:
        yield
    finally:
        _set_capabilities(*words)


def _set_capabilities(*words: int) -> None:
    header, sets = bytearray(CAP_HEADER), bytearray(CAP_DATA.pack(*words))
    syscall("capset", memory_address(memoryview(header)), memory_address(memoryview(sets)))
