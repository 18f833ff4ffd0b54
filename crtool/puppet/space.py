"""Room in address spaces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers
from crtool.procfs.maps import of_brothers

__all__ = ["Extent", "largest_hole"]

_LOWEST = 1 << 20  # far above vm.mmap_min_addr


class Extent(Protocol):
    """Anything that occupies addresses from *start* up to *end*."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@of_brothers
def largest_hole(extents: Iterable[Extent], size: int) -> int:
    """A page-aligned address in the middle of the largest hole that all *extents* (in any order) leave.

    The middle, because the kernel places new mappings at a hole's end, and stacks and heaps grow into one.
    """
    taken = sorted((extent.start, extent.end) for extent in extents)
    best, at, position = 0, 0, _LOWEST
    for start, end in [*taken, (cpu.TASK_SIZE, cpu.TASK_SIZE)]:
        if min(start, cpu.TASK_SIZE) - position > best:
            best, at = min(start, cpu.TASK_SIZE) - position, position
        position = max(position, end)
    if best < 4 * size:
        raise EnvironmentDiffers("the address space has no hole for a scratch mapping", "none: it is full")
    return (at + best // 2) & -cpu.PAGE_SIZE
