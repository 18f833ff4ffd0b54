"""Collecting what open files and mappings refer to, each once, while a tree is frozen."""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.resources.files.inodes import ContentRecord, InodeRecord, PathRecord, describe

__all__ = ["Inodes"]


class Inodes:
    """The inodes of an image under way, with the descriptors from which contents are to be copied."""

    def __init__(self, reserve: Callable[[int], int]) -> None:
        """*reserve*: gives out room in the data area."""
        self.records: list[InodeRecord] = []
        self.sources: list[tuple[int, ContentRecord]] = []  # our descriptor, what to copy; in the order of the data
        self.warnings: list[str] = []
        self._reserve = reserve
        self._index: dict[tuple[int, int, bytes], int] = {}

    def index(self, fd: int, link: bytes) -> int:
        """The index of what *fd* (ours) refers to; *link* is the path that /proc shows for it."""
        info = os.fstat(fd)
        key = (info.st_dev, info.st_ino, link)
        if key in self._index:
            return self._index[key]
        # A nameless inode is one thing whatever it was called: two deleted hard links, a memfd and its mapping.
        nameless = (info.st_dev, info.st_ino, b"")
        if (same := self._index.get(nameless)) is not None:
            self._index[key] = same
            return same
        record, warning = describe(fd, link, self._reserve)
        if warning:
            self.warnings.append(warning)
        if not isinstance(record, PathRecord):
            if record.content.extents:
                self.sources.append((os.dup(fd), record.content))
            self._index[nameless] = len(self.records)
        self._index[key] = len(self.records)
        self.records.append(record)
        return self._index[key]

    def close(self) -> None:
        """Closes the descriptors that were kept."""
        for fd, _ in self.sources:
            os.close(fd)
        self.sources.clear()
