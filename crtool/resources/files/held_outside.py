"""Open files by which somebody outside could meddle with a tree: rings of io_uring, to which he could submit requests
while the tree stands still, and userfaultfds, by which he could give it memory.

/proc/PID/fd of every process is looked through, if the tree has one at all. Who has only mapped a ring cannot submit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator

from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.procfs.read import entries, stat_of
from crtool.procfs.tasks import processes
from crtool.resources.files import uring, userfaultfd
from crtool.resources.files.openfile import OpenFile

__all__ = ["Holders"]

_Key = tuple[int, int]  # st_dev, st_ino: each has an inode of its own
_KINDS = {uring.LINK: "an io_uring", userfaultfd.LINK: "a userfaultfd"}


class Holders:
    """What of these kinds a tree has open."""

    def __init__(self) -> None:
        self._places: dict[_Key, list[tuple[int, int]]] = {}  # PIDs and descriptors
        self._names: dict[_Key, str] = {}

    def add(self, file: OpenFile) -> None:
        """Takes note of one; anything else is passed over."""
        if file.link in _KINDS:
            key = (file.stat.st_dev, file.stat.st_ino)
            self._places.setdefault(key, []).append((file.pid, file.fd))
            self._names[key] = _KINDS[file.link]

    def obstacles(self, tree: Collection[int], name_of: Callable[[int], str]) -> Iterator[Obstacle]:
        """One for each descriptor of the tree whose file is open outside *tree*."""
        if not self._places:
            return
        inside = {*tree, os.getpid()}
        for pid in processes():
            for key in self._of(pid) if pid not in inside else ():
                for holder, fd in self._places[key]:
                    cause = f"{self._names[key]} that PID {pid} ({name_of(pid)}) has open too, which is not in the tree"
                    yield Obstacle(holder, f"fd {fd}", cause, "checkpoint a parent of both, or close it there")

    def _of(self, pid: int) -> set[_Key]:
        """Those that process *pid* has open; nothing if crtool may not look."""
        found = set()
        try:
            for name in entries(pid, "fd"):
                there = stat_of(pid, f"fd/{name}")
                if (key := (there.st_dev, there.st_ino)) in self._places:
                    found.add(key)
        except (TargetDied, TargetError, OSError):
            pass
        return found
