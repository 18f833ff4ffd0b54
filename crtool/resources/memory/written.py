"""Which pages a process has written since it was looked at last.

The kernel keeps, for memory in a userfaultfd's asynchronous write protection, a mark at each page that is protected,
and takes it away when somebody writes (UFFD_FEATURE_WP_ASYNC, since 6.7): nobody waits or is told. PAGEMAP_SCAN
tells which pages have no mark, and marks them, in one step.

The process makes the userfaultfd itself, once, and sends it to crtool: it has none. Large private anonymous mappings
are registered by crtool. When the last descriptor is closed, crtool's death included, the kernel ends all of it.

A page is taken to be *unchanged* only if we have marked it ourselves, its mapping has been ours without interruption,
and the mark is still there. Marks stay where a page is swapped out, moved by the kernel, or write-protected by a fork.
There are none on a new page, so none where memory was emptied (MADV_DONTNEED) or mapped anew. What mremap(2) moves is
registered no more, nor is what a fork's child or an execve(2) has. A huge page is divided when it is written to.

Not seen are writes by somebody who has pinned pages before they were marked: devices and what is registered with an
io_uring are refused, as are requests in flight, unless they have been awaited.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress

from crtool.abi import userfaultfd as uffd
from crtool.errors import TargetDied
from crtool.kernel import pagemap as page_map
from crtool.kernel.ranges import Ranges, common, joined, less
from crtool.procfs.maps import Mapping, parse
from crtool.procfs.read import read
from crtool.procfs.smaps import Smap
from crtool.puppet.postbox import take
from crtool.puppet.puppet import Puppet, Scratch
from crtool.record import replace

__all__ = ["WriteWatch", "is_more_written", "may_be_watched", "pagemap_of", "without_marks"]

_WORTH_IT = 1 << 20  # bytes of a mapping
_KERNEL = 1 << 63  # where [vsyscall] is
_FEATURES = uffd.FEATURE_WP_ASYNC | uffd.FEATURE_WP_UNPOPULATED


def may_be_watched(mapping: Mapping) -> bool:
    """Whether it pays to know what is written to *mapping*: large, private, and of no file. Not the stack: the way home
    is laid there.
    """
    return (
        not mapping.shared
        and mapping.inode == 0
        and mapping.end - mapping.start >= _WORTH_IT
        and (mapping.name in (b"", b"[heap]") or mapping.name.startswith(b"[anon:"))
    )


def pagemap_of(tid: int) -> int:
    """A descriptor of the page map of *tid*'s process."""
    try:
        return os.open(f"/proc/{tid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise TargetDied(tid) from None


def without_marks(tid: int, smaps: Sequence[Smap]) -> list[Smap]:
    """*smaps* of *tid*'s process without the flag of a write protection that is asynchronous: whosever it is, nothing
    waits for him, and a process without it is the same.
    """
    if not any("uw" in entry.flags for entry in smaps):
        return list(smaps)
    pagemap = pagemap_of(tid)
    try:
        return [
            replace(entry, flags=entry.flags - {"uw"})
            if "uw" in entry.flags and page_map.is_tracked(pagemap, entry.mapping.start)
            else entry
            for entry in smaps
        ]
    finally:
        os.close(pagemap)


def is_more_written(tid: int, most: int) -> bool:
    """Whether *tid*'s process, which may run, has more than *most* bytes of private pages that are not known to be as
    they were, since they are watched and have not been written to.
    """
    pagemap = pagemap_of(tid)
    try:
        for mapping in parse(read(tid, "maps")):
            if not mapping.shared and mapping.start < _KERNEL:
                most -= page_map.written(pagemap, mapping.start, mapping.end, most, files=mapping.inode != 0)
                if most < 0:
                    return True
        return False
    finally:
        os.close(pagemap)


class WriteWatch:
    """The watch over one address space. It may only be looked at while that stands still."""

    def __init__(self, door: int) -> None:
        """*door*: the userfaultfd."""
        self.door = door
        self._marked: Ranges = ()  # pages that had the mark when it was looked last, and perhaps others
        self._unchanged: Ranges | None = None  # since the last image; None if nothing has been looked at since that
        self._seen: list[tuple[list[tuple[int, int]], list[bytes]]] = []  # what has not been reckoned up

    @classmethod
    def of(cls, puppet: Puppet) -> WriteWatch | None:
        """A watch over the address space of *puppet*, None if that cannot be. RemoteCallError if it cannot be asked."""
        try:
            door = take(puppet, "userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK | uffd.USER_MODE_ONLY)
        except OSError:
            return None
        try:
            if os.readlink(f"/proc/self/fd/{door}") != "anon_inode:[userfaultfd]":
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))  # somebody else uses its file table
            fcntl.ioctl(door, uffd.UFFDIO_API, uffd.API.pack(uffd.UFFD_API, _FEATURES, 0))
        except OSError:  # before 6.7
            os.close(door)
            return None
        return cls(door)

    def is_of(self, pagemap: int, scratch: Scratch) -> bool:
        """Whether it still watches the address space with *pagemap*, which may have got another one (execve), or none.

        What is registered in the scratch mapping, which was not there before, has to show there.
        """
        if page_map.is_tracked(pagemap, scratch.start):
            return False
        if self._register(scratch.start, scratch.end):
            return False
        try:
            return page_map.is_tracked(pagemap, scratch.start)
        finally:
            fcntl.ioctl(
                self.door, uffd.UFFDIO_UNREGISTER, uffd.RANGE.pack(scratch.start, scratch.end - scratch.start)
            )

    def look(self, pagemap: int, maps: Sequence[Mapping]) -> bool:
        """Notes what has been written, and protects it; whether mappings were registered, which may have become one
        with their neighbours by that.
        """
        kept: list[tuple[int, int]] = []
        written: list[bytes] = []
        self._seen.append((kept, written))
        registered = False
        for mapping in maps:
            if not may_be_watched(mapping):
                continue
            is_old = page_map.is_tracked(pagemap, mapping.start)
            if self._register(mapping.start, mapping.end):
                continue  # somebody else's, or of a kind that cannot be
            registered = registered or not is_old
            try:
                written.append(page_map.protect(pagemap, mapping.start, mapping.end))
            except OSError:
                continue
            if is_old:
                kept.append((mapping.start, mapping.end))
        return registered

    def _register(self, start: int, end: int) -> int:
        """Registers memory, if it is not yet; an error number or 0. Only who has registered it is not told EBUSY."""
        try:
            args = bytearray(uffd.REGISTER.pack(start, end - start, uffd.REGISTER_MODE_WP, 0))
            fcntl.ioctl(self.door, uffd.UFFDIO_REGISTER, args, True)
        except OSError as error:
            return error.errno or errno.EINVAL
        return 0

    @property
    def unchanged(self) -> Ranges:
        """The pages that nobody has written to between the last image and the last look, all among them that were
        there at both times, and addresses at which there is nothing.
        """
        self._reckon()
        return self._unchanged or ()

    def saved(self) -> None:
        """An image has what was there at the last look."""
        self._reckon()
        self._unchanged = None

    def _reckon(self) -> None:
        for kept, written in self._seen:
            old = common(self._marked, joined(kept))
            new = joined(run for found in written for run in page_map.regions(found))
            unchanged = less(old, new)
            self._unchanged = unchanged if self._unchanged is None else common(self._unchanged, unchanged)
            self._marked = joined([*old, *new])
        self._seen.clear()

    def close(self) -> None:
        """Ends it: the kernel takes all marks away."""
        with suppress(OSError):
            os.close(self.door)
