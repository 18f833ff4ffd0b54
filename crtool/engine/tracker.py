"""What a tree has written since its last image, for as long as crtool stays: a watch for each of its address spaces.

It is only a hint of what need not be compared with the parent: of what it does not know, nothing is said.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.preflight import SMALL
from crtool.errors import RemoteCallError
from crtool.kernel.ranges import Ranges
from crtool.procfs.maps import Mapping, parse
from crtool.procfs.read import entries, read
from crtool.resources.files.uring import LINK as RING
from crtool.resources.memory.words import Words
from crtool.resources.memory.written import WriteWatch, pagemap_of

__all__ = ["Tracker", "Version", "has_hidden_writes", "version"]

_WARY = 16  # images

Version = tuple[bytes, int, int, int, int, int]
"""Root hash of an image and, of its file, device, inode, size, and when its content and its inode were changed."""


def version(root: bytes, file: os.stat_result) -> Version:
    """That of an image with this root hash in *file*."""
    return root, file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns


def has_hidden_writes(door: int, maps: Sequence[Mapping]) -> bool:
    """Whether buffers are registered with a ring of io_uring: the kernel writes to their pages past page tables."""
    if not any(mapping.name == RING for mapping in maps):
        return False
    return any(_has_buffers(door, name) for name in entries(door, "fd"))


def _has_buffers(door: int, fd: str) -> bool:
    with suppress(OSError):
        if os.readlink(f"/proc/{door}/fd/{fd}") == os.fsdecode(RING):
            return b"\nUserBufs:\t0\n" not in read(door, f"fdinfo/{fd}")
    return False


class Tracker:
    """The watches, by PID and time of birth. As a context manager it ends them."""

    def __init__(self) -> None:
        self.root = b""  # the root hash of the last image
        self.whole: set[Version] = set()  # images that need not be verified any more
        self.words = Words()  # of mappings
        self.wary = 0  # images for which nobody relies on that little was written
        self._watches: dict[tuple[int, int], WriteWatch] = {}
        self._seen: set[tuple[int, int]] = set()

    def be_surprised(self) -> None:
        """What seemed little was not: so it may be for long, and finding it out takes a second freeze."""
        self.wary = _WARY

    def begin(self) -> None:
        """The tree stands still, and will be looked at."""
        self._seen.clear()

    def look(self, process: FrozenProcess, maps: Sequence[Mapping]) -> Sequence[Mapping]:
        """Looks at the address space of *process*, which has its scratch mapping; *maps* are without that. Returns what
        they are then: registering them can make one of two.
        """
        held = process.held
        assert held is not None
        key = (process.pid, process.stat.starttime)
        pagemap = pagemap_of(process.door)
        try:
            watch = self._watches.get(key)
            hidden = has_hidden_writes(process.door, maps)
            if watch is not None and (hidden or not watch.is_of(pagemap, held.scratch)):
                self._watches.pop(key).close()
                watch = None
            if watch is None and not hidden:
                watch = self._new(process)
            if watch is None:
                return maps
            self._watches[key] = watch
            self._seen.add(key)
            if not watch.look(pagemap, maps):
                return maps
        finally:
            os.close(pagemap)
        found = parse(read(process.door, "maps"))
        return [mapping for mapping in found if not held.scratch.start <= mapping.start < held.scratch.end]

    def _new(self, process: FrozenProcess) -> WriteWatch | None:
        held = process.held
        assert held is not None
        # What is small is copied anyway. Where a filter judges what the process calls, nothing is asked of it for this.
        if process.status.own_memory <= SMALL or held.caller.seccomp:
            return None
        with suppress(RemoteCallError):
            return WriteWatch.of(held)
        return None

    def unchanged(self, process: FrozenProcess, root: bytes) -> Ranges:
        """What *process* has not written to since the image with this root hash."""
        key = (process.pid, process.stat.starttime)
        if not root or root != self.root or key not in self._seen:
            return ()
        return self._watches[key].unchanged

    def saved(self, root: bytes, file: os.stat_result | None) -> None:
        """An image has become whole, of what has been looked at last. *file*: it, as it was then."""
        if file is not None:
            self.whole.add(version(root, file))
        for key in [key for key in self._watches if key not in self._seen]:
            self._watches.pop(key).close()
        for watch in self._watches.values():
            watch.saved()
        self.root = root
        self.wary = max(self.wary - 1, 0)
        self.words.prepare()  # now, since nobody waits for it

    def close(self) -> None:
        """Ends all watches."""
        self.words.close()
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        self._seen.clear()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
