"""Collecting what open files and mappings refer to, each once, while a tree is frozen."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import suppress

from crtool.abi.fcntl import FICLONE
from crtool.record import dataclass, replace
from crtool.resources.files.inodes import (
    ContentRecord,
    InodeRecord,
    KeptRecord,
    MountedRecord,
    PathRecord,
    Version,
    describe,
    is_segment,
    kept,
    reopen,
    version_of,
)

__all__ = ["Inodes", "Source"]


@dataclass(frozen=True)
class Source:
    """Where content is to be copied from."""

    fd: int  # of ours
    cloned: bool  # it is a clone, which changes no more



class Inodes:
    """The inodes of an image under way, with the descriptors from which contents are to be copied."""

    def __init__(
        self, reserve: Callable[[int], int], *, contents: bool = False, digests: Mapping[Version, bytes] | None = None
    ) -> None:
        """*reserve*: gives out room in the data area. *contents*: the content of what has a name is saved, too.
        *digests*: of programs and libraries.
        """
        self.records: list[InodeRecord] = []
        self.sources: list[tuple[Source, ContentRecord]] = []  # what to copy, in the order of the data
        self.warnings: list[str] = []
        self.rooms: list[tuple[int, int]] = []  # as of describe(); they become more
        self._reserve = reserve
        self._contents = contents
        self._digests = digests or {}
        self._kept: dict[tuple[int, int], KeptRecord | None] = {}  # by device and inode: it may have several names
        self._index: dict[tuple[int, int, bytes, int], int] = {}

    def index(self, fd: int, link: bytes, room: int = 0, info: os.stat_result | None = None) -> int:
        """The index of what *fd* (ours) refers to; *link* is the path that /proc shows for it. *room*: tells System V
        segments of different IPC namespaces from each other, since their numbers are their ids. *info*: of fstat(2).
        """
        info = info or os.fstat(fd)
        key = (info.st_dev, info.st_ino, link, room)
        if key in self._index:
            return self._index[key]
        # A nameless inode is one thing whatever it was called: two deleted hard links, a memfd and its mapping.
        # But the number of a System V segment is its id, which some other shared memory may have as well.
        nameless = (info.st_dev, info.st_ino, b"/SYSV" if is_segment(link) else b"", room)
        if (same := self._index.get(nameless)) is not None:
            self._index[key] = same
            return same
        record, warning = describe(fd, link, info, self._reserve, self.rooms)
        if warning:
            self.warnings.append(warning)
        if not isinstance(record, PathRecord | MountedRecord):
            if record.content.extents:
                self.sources.append((Source(os.dup(fd), cloned=False), record.content))
            self._index[nameless] = len(self.records)
        elif isinstance(record, PathRecord):
            if found := self._digests.get(version_of(info)):
                record = replace(record, digest=found)
            if self._contents:
                record = replace(record, kept=self._keep(fd, record))
        self._index[key] = len(self.records)
        self.records.append(record)
        return self._index[key]

    def known(self, info: os.stat_result, link: bytes) -> int | None:
        """The index of what has a name and is known already, without anybody opening it."""
        return self._index.get((info.st_dev, info.st_ino, link, 0))

    def _keep(self, fd: int, record: PathRecord) -> KeptRecord | None:
        identity = (record.device, record.inode)
        if identity not in self._kept:
            self._kept[identity] = found = kept(fd, record, self._reserve)
            if found is not None and found.content.extents:
                self.sources.append((Source(os.dup(fd), cloned=False), found.content))
        return self._kept[identity]

    def clone(self) -> None:
        """Where the file system has clones (ioctl_ficlone(2)): lets them, which take no time and no room, be copied
        instead of what may change any moment.
        """
        for index, (source, content) in enumerate(self.sources):
            if (clone := _clone(source.fd)) >= 0:
                os.close(source.fd)
                self.sources[index] = (Source(clone, cloned=True), content)

    def close(self) -> None:
        """Closes the descriptors that were kept."""
        for source, _ in self.sources:
            os.close(source.fd)
        self.sources.clear()


def _clone(fd: int) -> int:
    """A descriptor of a nameless clone of the file *fd* (of ours), −1 if it cannot be made."""
    folder = os.path.dirname(os.readlink(f"/proc/self/fd/{fd}"))
    with suppress(OSError):
        clone = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        try:
            source = reopen(fd, os.O_RDONLY)
            try:
                fcntl.ioctl(clone, FICLONE, source)
                return clone
            finally:
                os.close(source)
        except OSError:
            os.close(clone)
    return -1
