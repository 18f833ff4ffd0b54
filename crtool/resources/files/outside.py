"""What processes outside of a tree have open, or mapped.

The kernel keeps no list of who has a file open; /proc/PID/fd of every process is one. It is looked through when
somebody asks first, and once for all who ask, since that takes some milliseconds for each hundred processes.

Not seen: what is only in flight within a unix socket, and what somebody has open at whom crtool may not look.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property

from crtool.errors import TargetDied, TargetError
from crtool.procfs.read import entries, read, read_link
from crtool.procfs.tasks import processes
from crtool.record import dataclass

__all__ = ["Outside", "OutsideFile"]


@dataclass(frozen=True)
class OutsideFile:
    """A descriptor of a process that is not in the tree."""

    pid: int
    fd: int
    link: bytes  # what /proc/PID/fd/FD links to


class Outside:
    """The open files of all processes but *tree* and crtool itself, at the moment when they are asked for first."""

    def __init__(self, tree: Collection[int]) -> None:
        self._inside = {*tree, os.getpid()}

    @cached_property
    def files(self) -> tuple[OutsideFile, ...]:
        """All of them."""
        return tuple(file for pid in processes() if pid not in self._inside for file in _files_of(pid))

    @property
    def maps(self) -> Iterator[tuple[int, bytes]]:
        """PID and /proc/PID/maps of each process that crtool may look at."""
        for pid in processes():
            if pid not in self._inside:
                with suppress(TargetDied, TargetError):
                    yield pid, read(pid, "maps")

    @cached_property
    def _sockets(self) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        for file in self.files:
            if file.link.startswith(b"socket:["):
                found.setdefault(file.link, file.pid)
        return found

    def holders(self, inodes: Collection[int]) -> dict[int, int]:
        """For sockets by inode: a process that has it open."""
        found = {inode: self._sockets.get(b"socket:[%d]" % inode) for inode in inodes}
        return {inode: pid for inode, pid in found.items() if pid is not None}


def _files_of(pid: int) -> Iterator[OutsideFile]:
    """What process *pid* has open; nothing if crtool may not look."""
    with suppress(TargetDied, TargetError, OSError):
        for fd in map(int, entries(pid, "fd")):
            with suppress(TargetError, OSError):  # closed meanwhile
                yield OutsideFile(pid, fd, read_link(pid, f"fd/{fd}"))
