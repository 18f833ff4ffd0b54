"""What processes outside of a tree have open, or mapped.

The kernel keeps no list of who has a file open; /proc/PID/fd of every process is one. It is looked through when
somebody asks first, and once for all who ask, since that takes some milliseconds for each thousand open files.

Not seen: what is only in flight within a unix socket, and what somebody has open at whom crtool may not look.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property

from crtool.errors import TargetDied, TargetError
from crtool.procfs.read import open_file, read
from crtool.procfs.tasks import processes

__all__ = ["Holder", "Outside"]

Holder = tuple[int, int]
"""PID and descriptor of a process that is not in the tree."""


class Outside:
    """The open files of all processes but *tree* and crtool itself, at the moment when they are asked for first."""

    def __init__(self, tree: Collection[int]) -> None:
        self._inside = {*tree, os.getpid()}

    @cached_property
    def files(self) -> dict[bytes, list[Holder]]:
        """Who has it open, by what /proc/PID/fd/FD links to."""
        found: dict[bytes, list[Holder]] = {}
        for pid in processes():
            if pid not in self._inside:
                for fd, link in _files_of(pid):
                    found.setdefault(link, []).append((pid, fd))
        return found

    @property
    def maps(self) -> Iterator[tuple[int, bytes]]:
        """PID and /proc/PID/maps of each process that crtool may look at."""
        for pid in processes():
            if pid not in self._inside:
                with suppress(TargetDied, TargetError):
                    yield pid, read(pid, "maps")

    def holders(self, inodes: Collection[int]) -> dict[int, int]:
        """For sockets by inode: a process that has it open."""
        found = {inode: self.files.get(b"socket:[%d]" % inode) for inode in inodes}
        return {inode: holders[0][0] for inode, holders in found.items() if holders is not None}


def _files_of(pid: int) -> Iterator[tuple[int, bytes]]:
    """What process *pid* has open; nothing if crtool may not look."""
    with suppress(TargetDied, TargetError, OSError):
        folder = open_file(pid, "fd", os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(folder):
                with suppress(OSError):  # closed meanwhile
                    yield int(name), os.readlink(name.encode(), dir_fd=folder)
        finally:
            os.close(folder)
