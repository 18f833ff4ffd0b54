"""Mappings of rings of io_uring, whose addresses the kernel lets nobody choose.

Neither mmap(2) nor mremap(2) takes an address for one (io_uring_get_unmapped_area() in the kernel's io_uring/memmap.c).
But it goes where there is room for it: so all other room is taken for a moment, by mappings without access.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crtool.abi import mman
from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers, RemoteCallError
from crtool.procfs.maps import Mapping
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.resources.memory.mappings import MappingRecord

__all__ = ["fences", "place"]

_LOWEST = 1 << 16  # vm.mmap_min_addr is no higher, as distributions set it
_FENCE = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE | mman.MAP_FIXED_NOREPLACE


def fences(mappings: Sequence[Mapping], start: int, end: int) -> Iterator[tuple[int, int]]:
    """What has to be taken so that as much room as *start*…*end* is nowhere else.

    That is what is free and large enough, and whatever is free right beside it, with which it has room for a shift.
    """
    for first, last in _gaps(mappings, start, end):
        if last - first >= end - start or last == start or first == end:
            yield first, last


def _gaps(mappings: Sequence[Mapping], start: int, end: int) -> Iterator[tuple[int, int]]:
    """What is free, but for *start*…*end*."""
    taken = sorted([*((each.start, each.end) for each in mappings), (start, end)])
    at = _LOWEST
    for first, last in taken:
        if at < min(first, cpu.TASK_SIZE):
            yield at, min(first, cpu.TASK_SIZE)
        at = max(at, last)
    if at < cpu.TASK_SIZE:
        yield at, cpu.TASK_SIZE


def place(puppet: Newborn, record: MappingRecord, fd: int) -> None:
    """Makes the mapping of *record*, of the ring *fd* in the puppet."""
    batch = Batch()
    label = f"{record.start:x}"
    taken = list(fences(puppet.mappings(), record.start, record.end))
    for start, end in taken:
        batch.call("mmap", start, end - start, mman.PROT_NONE, _FENCE, -1, 0, label=label)
    made = batch.call("mmap", 0, record.size, record.protection, mman.MAP_SHARED, fd, record.offset, label=label)
    for start, end in taken:
        batch.call("munmap", start, end - start, label=label)
    try:
        puppet.run(batch)
    except RemoteCallError as error:
        cause = f"the io_uring at {record.start:#x} cannot be mapped: {error}"
        raise EnvironmentDiffers(cause, "ulimit -v unlimited, on the kernel of the checkpoint") from None
    if made.value != record.start:
        cause = f"the io_uring at {record.start:#x} can only be mapped at {made.value:#x}"
        raise EnvironmentDiffers(cause, "restart on the kernel of the checkpoint")
