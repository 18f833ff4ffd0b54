"""Collecting pipes and FIFOs, each once, while a tree is frozen."""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.resources.files import pipes
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.pipes import PipeEndRecord, PipeRecord

__all__ = ["Rings"]


class Rings:
    """The rings of an image under way, of each of which it keeps a descriptor until it is closed."""

    def __init__(self, inode: Callable[[OpenFile], int]) -> None:
        """*inode*: gives the index of a FIFO's path."""
        self._inode = inode
        self._index: dict[tuple[int, int], int] = {}
        self._files: list[tuple[OpenFile, int]] = []  # with a descriptor of our own each, and the index of the path
        self._flags: list[list[int]] = []

    def end(self, file: OpenFile) -> PipeEndRecord:
        """The record of *file*, which is an end of one."""
        key = (file.stat.st_dev, file.stat.st_ino)
        if key not in self._index:
            self._index[key] = len(self._files)
            inode = -1 if file.link.startswith(b"pipe:[") else self._inode(file)
            mine = OpenFile(file.pid, file.fd, os.dup(file.local), file.link, file.info, file.stat)
            self._files.append((mine, inode))
            self._flags.append([])
        return self.another(self._index[key], file.flags)

    def another(self, ring: int, flags: int) -> PipeEndRecord:
        """The record of an end with *flags* of ring number *ring*, which is known already."""
        self._flags[ring].append(flags)
        return PipeEndRecord(ring, flags)

    def records(self) -> tuple[PipeRecord, ...]:
        """The records of all of them, when all ends are known."""
        return tuple(
            pipes.content(file, inode, packets=any(flag & os.O_DIRECT for flag in flags))
            for (file, inode), flags in zip(self._files, self._flags, strict=True)
        )

    def close(self) -> None:
        """Closes the descriptors that were kept."""
        for file, _ in self._files:
            os.close(file.local)
        self._files.clear()
