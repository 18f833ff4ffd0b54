"""What stands at a path, as an O_PATH descriptor that stays what it is whatever becomes of the path.

A path that /proc has shown has no symbolic link in it. If there is one now, somebody has put it there: where it is not
root or the caller himself, he decides what is opened in the caller's name (openat2(2), RESOLVE_NO_SYMLINKS, in v5.6;
where there is no openat2, each step is made by itself).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from crtool.kernel.syscall import syscall

__all__ = ["Diverted", "resolve"]

_HOW = struct.Struct("<QQQ")  # struct open_how (linux/openat2.h): flags, mode, resolve
_RESOLVE_NO_SYMLINKS = 0x04
_AT_FDCWD = 2**64 - 100
_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 40  # symbolic links in one path: MAXSYMLINKS (linux/namei.h)


class Diverted(Exception):
    """The path leads through a symbolic link of somebody else's."""

    def __init__(self, link: bytes, owner: int) -> None:
        super().__init__(link, owner)
        self.link = link
        self.owner = owner  # its user id


def resolve(path: bytes) -> int:
    """A new descriptor of what stands at the absolute *path*; a symbolic link at its end is not followed.

    Raises OSError, and Diverted for a symbolic link on the way that belongs neither to root nor to the caller.
    """
    name = ctypes.create_string_buffer(path)
    how = ctypes.create_string_buffer(_HOW.pack(_FLAGS, 0, _RESOLVE_NO_SYMLINKS), _HOW.size)
    try:
        return syscall("openat2", _AT_FDCWD, ctypes.addressof(name), ctypes.addressof(how), _HOW.size)
    except OSError:  # ELOOP for a link, ENOSYS or EPERM for the call, or just as step by step
        return _step_by_step(path)


def _step_by_step(path: bytes) -> int:
    left = [step for step in path.split(b"/") if step]
    at, where, links = os.open(b"/", _FLAGS), b"", 0
    try:
        while left:
            step = left.pop(0)
            there = os.open(step, _FLAGS, dir_fd=at)
            status = os.fstat(there)
            if not (left and stat.S_ISLNK(status.st_mode)):
                os.close(at)
                at, where = there, where + b"/" + step
                continue
            try:
                if status.st_uid not in (0, os.geteuid()):
                    raise Diverted(where + b"/" + step, status.st_uid)
                if (links := links + 1) > _MOST:
                    raise OSError(40, os.strerror(40))  # ELOOP
                target = os.readlink(b"", dir_fd=there)
            finally:
                os.close(there)
            left[:0] = [part for part in target.split(b"/") if part]
            if target.startswith(b"/"):
                os.close(at)
                at, where = os.open(b"/", _FLAGS), b""
        return at
    except BaseException:
        os.close(at)
        raise
