"""Files and folders that are watched, by inotify(7) or fanotify(7): the kernel tells of them by file handles."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from crtool.kernel.file_handle import open_handle
from crtool.procfs import mountinfo
from crtool.procfs.read import read

__all__ = ["Places", "watchable"]


class Places:
    """The filesystems that are mounted here, each opened once. As a context manager it closes them."""

    def __init__(self) -> None:
        self.mounts = mountinfo.parse(read(os.getpid(), "mountinfo"))
        self._points: dict[int, list[bytes]] = {}
        self._opened: dict[int, list[int]] = {}
        for mount in self.mounts:
            self._points.setdefault(os.makedev(mount.major, mount.minor), []).append(mount.mount_point)

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *exc: object) -> None:
        for fds in self._opened.values():
            for fd in fds:
                os.close(fd)

    def open(self, device: int, kind: int | None, handle: bytes | None) -> int:
        """What a handle means on the filesystem *device* (st_dev), as a path only; raises OSError."""
        if handle is None or kind is None:
            raise OSError(errno.EOPNOTSUPP, "its filesystem has no file handles")
        problem = OSError(errno.ENOENT, "its filesystem is not mounted here")
        for place in self._of(device):
            try:
                return open_handle(place, kind, handle, os.O_PATH | os.O_CLOEXEC)
            except OSError as error:
                problem = error
        raise problem

    def _of(self, device: int) -> list[int]:
        if device not in self._opened:
            self._opened[device] = []
            for path in self._points.get(device, ()):
                with suppress(OSError):
                    self._opened[device].append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return self._opened[device]


@contextmanager
def watchable(path: bytes) -> Iterator[bytes]:
    """A path that leads to what *path* names itself, also if that is a symbolic link. Raises OSError."""
    follow = 0 if path.startswith(b"/proc/self/fd/") else os.O_NOFOLLOW
    here = os.open(path, os.O_PATH | os.O_CLOEXEC | follow)
    try:
        yield b"/proc/self/fd/%d" % here
    finally:
        os.close(here)
