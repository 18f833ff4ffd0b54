"""inotify(7)."""

from __future__ import annotations

import ctypes
import fcntl

from crtool.kernel.syscall import syscall

__all__ = ["add_watch", "create", "set_next"]

_INOTIFY_IOC_SETNEXTWD = 0x40044900  # _IOW('I', 0, __s32), linux/inotify.h


def create(flags: int) -> int:
    """A new instance."""
    return syscall("inotify_init1", flags)


def set_next(fd: int, watch: int) -> None:
    """Sets the number that the next new watch gets, if it is free (since 4.16)."""
    fcntl.ioctl(fd, _INOTIFY_IOC_SETNEXTWD, watch)


def add_watch(fd: int, path: bytes, mask: int) -> int:
    """Adds a watch; returns its number."""
    name = ctypes.create_string_buffer(path)
    return syscall("inotify_add_watch", fd, ctypes.addressof(name), mask)
