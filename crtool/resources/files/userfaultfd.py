"""Descriptors by which a program gives out its own memory (userfaultfd(2)).

The kernel keeps whose memory it is, what was agreed upon (UFFDIO_API), which mappings are watched and for what, which
pages are write-protected, and who waits.

Whose memory it is, and which mappings are watched by which of several, stands in no file of /proc: BPF iterators read
it (:mod:`crtool.kernel.userfault`). For what they are watched is told by the VmFlags of smaps, which pages are there or
protected by PAGEMAP_SCAN. Nobody is woken, and no event is taken out, by that.

We let its owner make a new one, when all memory is filled and nobody runs: crtool agrees upon the same features,
registers the same mappings, takes away pages that the filling has brought too much (huge pages), lets appear those that
are of zeros, and protects the same ones. Who waits for a page stands at the instruction that wants it, and makes the
event again; so the reader may hear of one twice, as after any signal.

Refused: one that watches nobody of the tree, or that somebody outside has open; a kernel that does not tell. Memory
that is watched by somebody else is a matter of the mappings.
"""

from __future__ import annotations

import fcntl
import os
import struct

from crtool.abi import mman
from crtool.abi import userfaultfd as abi
from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import pagemap as page_map
from crtool.kernel import userfault
from crtool.kernel.process import pidfd_getfd, pidfd_open
from crtool.kernel.ranges import Ranges, common, joined, less
from crtool.kernel.userfault import Context
from crtool.procfs.smaps import Smap
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = [
    "LINK",
    "AreaRecord",
    "UserfaultfdRecord",
    "dump",
    "is_sound",
    "obstacle",
    "recognise",
    "restore",
    "stranger",
]

LINK = b"anon_inode:[userfaultfd]"
_MISSING, _PROTECTED, _MINOR = abi.REGISTER_MODE_MISSING, abi.REGISTER_MODE_WP, abi.REGISTER_MODE_MINOR
_MODES = {"um": _MISSING, "uw": _PROTECTED, "ui": _MINOR}
_HUGE = b"/anon_hugepage"
_ALL = _MISSING | _PROTECTED | _MINOR
_ATTEMPTS = 100  # at memory that khugepaged brings in the moment before it is watched


@dataclass(frozen=True)
class AreaRecord:
    """A mapping that is watched."""

    start: int  # address
    end: int
    mode: int  # UFFDIO_REGISTER_MODE_*
    private: bool  # private memory of no file: what is not there is not anywhere
    present: tuple[tuple[int, int], ...]  # addresses, start and end, of what does not make an event by not being there
    protected: tuple[tuple[int, int], ...]  # likewise, of what makes one when it is written to


@dataclass(frozen=True)
class UserfaultfdRecord:
    """A userfaultfd."""

    owner: int  # PID of a process whose memory it is
    flags: int  # of userfaultfd(2): O_NONBLOCK, UFFD_USER_MODE_ONLY
    features: int  # UFFD_FEATURE_*
    ready: bool  # UFFDIO_API has been asked for
    areas: tuple[AreaRecord, ...]


def recognise(file: OpenFile) -> bool:
    """Whether *file* is one."""
    return file.link == LINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why it cannot be saved, if so."""
    try:
        userfault.context(file.local)
    except OSError as error:
        cause = f"a userfaultfd cannot be saved, since nothing tells of it: {error.strerror}"
        return Obstacle(file.pid, where, cause, "run crtool as root on a kernel with BTF, or close it first")
    return None


def stranger(pid: int, fd: int) -> Obstacle:
    """About one that watches nobody of the tree."""
    cause = "a userfaultfd that watches a process outside the tree, or memory that is gone, cannot be saved"
    return Obstacle(pid, f"fd {fd}", cause, "checkpoint a parent of both, or close it first")


def dump(file: OpenFile, context: Context, owner: int, door: int, areas: list[Smap]) -> UserfaultfdRecord:
    """The record of *file*, of which *context* is known: it watches *areas* of process *owner*, seen through *door*.
    Raises OSError.
    """
    records = []
    if areas:
        pagemap = os.open(f"/proc/{door}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            records = [_area(pagemap, door, area) for area in areas]
        finally:
            os.close(pagemap)
    # O_NONBLOCK can be changed later, and then stands only among those of the open file.
    flags = file.flags & os.O_NONBLOCK | context.flags & abi.USER_MODE_ONLY
    return UserfaultfdRecord(owner, flags, context.features, context.ready, tuple(records))


def _area(pagemap: int, door: int, area: Smap) -> AreaRecord:
    mapping = area.mapping
    mode = sum(bit for flag, bit in _MODES.items() if flag in area.flags)
    private = not mapping.shared and (mapping.inode == 0 or mapping.name.startswith(_HUGE))
    present: list[tuple[int, int]] = []
    if mode & _MINOR or (mode & _MISSING and private):
        there = page_map.scan(pagemap, mapping.start, mapping.end)
        wanted = mman.PAGE_IS_PRESENT | (0 if mode & _MINOR else mman.PAGE_IS_SWAPPED)
        present = joined((start, end) for start, end, kind in there if kind & wanted)
        if mode & _MISSING:
            present = less(present, page_map.hollow(pagemap, door, mapping.start, mapping.end))
    protected = page_map.protected(pagemap, mapping.start, mapping.end) if mode & _PROTECTED else []
    return AreaRecord(mapping.start, mapping.end, mode, private, tuple(present), tuple(joined(protected)))


def is_sound(record: UserfaultfdRecord, page: int) -> bool:
    """Whether one can be like that. *page*: size of a page."""
    if record.flags & ~(os.O_NONBLOCK | abi.USER_MODE_ONLY) or not 0 <= record.features < abi.INITIALIZED:
        return False
    if record.features and not record.ready:
        return False
    for area in record.areas:
        if not record.ready or not 0 < area.mode <= _ALL:
            return False
        for runs in ([(area.start, area.end)], area.present, area.protected):
            last = area.start
            for start, end in runs:
                if start % page or end % page or not last <= start < end <= area.end:
                    return False
                last = end
    return True


def restore(record: UserfaultfdRecord, puppet: Puppet) -> int:
    """A new one of the memory of *puppet*, which is filled. Nobody else runs."""
    try:
        fd = _made(puppet, record.flags)
    except OSError as error:
        cause = f"a userfaultfd cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "run crtool as root, on a kernel with userfaultfd") from None
    try:
        if record.ready:
            fcntl.ioctl(fd, abi.UFFDIO_API, abi.API.pack(abi.UFFD_API, record.features, 0))
        if record.areas:
            pagemap = os.open(f"/proc/{puppet.pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
            try:
                for area in record.areas:
                    _watch(fd, pagemap, puppet, area, unpopulated=bool(record.features & abi.FEATURE_WP_UNPOPULATED))
            finally:
                os.close(pagemap)
    except OSError as error:
        os.close(fd)
        raise EnvironmentDiffers(f"a userfaultfd cannot be rebuilt: {error.strerror}", "use the same kernel") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _made(puppet: Puppet, flags: int) -> int:
    number = puppet.call("userfaultfd", os.O_CLOEXEC | flags).value
    pidfd = pidfd_open(puppet.pid)
    try:
        return pidfd_getfd(pidfd, number)
    finally:
        os.close(pidfd)
        puppet.call("close", number)


def _watch(fd: int, pagemap: int, puppet: Puppet, area: AreaRecord, *, unpopulated: bool) -> None:
    """Registers *area*. Only what is registered is safe from khugepaged, which fills in what is missing; and only what
    is not can be emptied without an event that somebody would have to read.
    """
    for _ in range(_ATTEMPTS):
        fcntl.ioctl(fd, abi.UFFDIO_REGISTER, abi.REGISTER.pack(area.start, area.end - area.start, area.mode, 0))
        there = joined((start, end) for start, end, _ in page_map.scan(pagemap, area.start, area.end))
        surplus = less(there, area.present) if area.private and area.mode & _MISSING else []
        if not surplus:
            break
        fcntl.ioctl(fd, abi.UFFDIO_UNREGISTER, abi.RANGE.pack(area.start, area.end - area.start))
        batch = Batch()
        for start, end in surplus:
            batch.call("madvise", start, end - start, mman.MADV_DONTNEED, label=f"{start:x}")
        puppet.run(batch)
    else:
        raise EnvironmentDiffers(f"memory at {area.start:#x} does not stay missing", "restart it again")
    if area.mode & _MINOR:
        _map(fd, abi.UFFDIO_CONTINUE, less(area.present, there))
    elif area.private:
        # Pages of zeros were not saved. Without a page there is nothing to protect, but for who has agreed upon marks.
        wanted: Ranges = area.present if area.mode & _MISSING else () if unpopulated else area.protected
        _map(fd, abi.UFFDIO_ZEROPAGE, less(wanted, there))
    for start, end in common(area.protected, [(area.start, area.end)]):
        packed = abi.WRITEPROTECT.pack(start, end - start, abi.WRITEPROTECT_MODE_WP)
        fcntl.ioctl(fd, abi.UFFDIO_WRITEPROTECT, packed)


def _map(fd: int, request: int, ranges: Ranges) -> None:
    for start, end in ranges:
        fcntl.ioctl(fd, request, bytearray(struct.pack("<QQQq", start, end - start, 0, 0)), True)
