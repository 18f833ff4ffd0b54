"""What stands at a path, as an O_PATH descriptor that stays what it is whatever becomes of the path.

A path that /proc has shown has no symbolic link in it. If there is one now, somebody has put it there: where it is not
root or the caller himself, he decides what is opened in the caller's name (openat2(2), RESOLVE_NO_SYMLINKS, in v5.6;
where there is no openat2, each step is made by itself).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from crtool.kernel.syscall import syscall

__all__ = ["Diverted", "resolve", "resolve_folder", "resolve_plain"]

_HOW = struct.Struct("<QQQ")  # struct open_how (linux/openat2.h): flags, mode, resolve
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_IN_ROOT = 0x10
_AT_FDCWD = 2**64 - 100
_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 40  # symbolic links in one path: MAXSYMLINKS (linux/namei.h)


class Diverted(Exception):
    """The path leads through a symbolic link of somebody else's."""

    def __init__(self, link: bytes, owner: int) -> None:
        super().__init__(link, owner)
        self.link = link
        self.owner = owner  # its user id


def resolve(path: bytes, root: int | None = None) -> int:
    """A new descriptor of what stands at the absolute *path*; a symbolic link at its end is not followed.

    *root*: a descriptor of the folder that is "/" for the path and for all links; None is the caller's root.

    Raises OSError, and Diverted for a symbolic link on the way that belongs neither to root nor to the caller.
    """
    try:
        return _open(path, root)
    except OSError:  # ELOOP for a link, ENOSYS or EPERM for the call, or just as step by step
        return _step_by_step(path, root, follow=True)


def resolve_folder(path: bytes) -> int:
    """The same of a folder, at an absolute or relative *path*, also if a link at its end leads to it. An empty one is
    the current folder.
    """
    fd = resolve((path or b".") + b"/.")
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return fd


def resolve_plain(path: bytes, root: int) -> int:
    """The same, but OSError (ELOOP) for every symbolic link, whosever it is, also for one at the end."""
    try:
        fd = _open(path, root)
    except OSError:
        return _step_by_step(path, root, follow=False)
    if stat.S_ISLNK(os.fstat(fd).st_mode):
        os.close(fd)
        raise _loop()
    return fd


def _open(path: bytes, root: int | None) -> int:
    name = ctypes.create_string_buffer(path)
    within = 0 if root is None else _RESOLVE_IN_ROOT
    how = ctypes.create_string_buffer(_HOW.pack(_FLAGS, 0, _RESOLVE_NO_SYMLINKS | within), _HOW.size)
    start = _AT_FDCWD if root is None else root
    return syscall("openat2", start, ctypes.addressof(name), ctypes.addressof(how), _HOW.size)


def _loop() -> OSError:
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _root(root: int | None) -> int:
    return os.open(b"/", _FLAGS) if root is None else os.dup(root)


def _step_by_step(path: bytes, root: int | None, *, follow: bool) -> int:
    left = [step for step in path.split(b"/") if step]
    at, where, links = _root(root), b"", 0
    top = os.fstat(at)
    if root is None and not path.startswith(b"/"):
        os.close(at)
        at, where = os.open(b".", _FLAGS), b"."
    try:
        while left:
            step = left.pop(0)
            if step == b".." and os.path.samestat(os.fstat(at), top):
                continue  # nothing is above it
            there = os.open(step, _FLAGS, dir_fd=at)
            status = os.fstat(there)
            if not stat.S_ISLNK(status.st_mode) or (follow and not left):
                os.close(at)
                at, where = there, where + b"/" + step
                continue
            try:
                if not follow:
                    raise _loop()
                if status.st_uid not in (0, os.geteuid()):
                    raise Diverted(where + b"/" + step, status.st_uid)
                if (links := links + 1) > _MOST:
                    raise _loop()
                target = os.readlink(b"", dir_fd=there)
            finally:
                os.close(there)
            left[:0] = [part for part in target.split(b"/") if part]
            if target.startswith(b"/"):
                os.close(at)
                at, where = _root(root), b""
        return at
    except BaseException:
        os.close(at)
        raise
