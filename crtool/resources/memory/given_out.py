"""Pages of memory that a userfaultfd gives out (UFFDIO_REGISTER_MODE_MISSING): some look as if they were there."""

from __future__ import annotations

import os
from collections.abc import Sequence

from crtool.kernel import pagemap as page_map
from crtool.kernel.ranges import less
from crtool.procfs.smaps import Smap
from crtool.resources.memory.pages import ExtentRecord
from crtool.resources.memory.written import pagemap_of

__all__ = ["without_marks"]


def without_marks(
    tid: int, extents: tuple[ExtentRecord, ...], smaps: Sequence[Smap]
) -> tuple[ExtentRecord, ...]:
    """*extents* of *tid*'s process without those pages that are missing, and only marked as write-protected: nothing
    can be read there, and nothing must be there after a restart.
    """
    mappings = [entry.mapping for entry in smaps if "um" in entry.flags and not entry.mapping.shared]
    if not mappings:
        return extents
    pagemap = pagemap_of(tid)
    try:
        holes = [run for each in mappings for run in page_map.hollow(pagemap, tid, each.start, each.end)]
    finally:
        os.close(pagemap)
    there = [(extent.start, extent.start + extent.length) for extent in extents]
    return tuple(ExtentRecord(start, end - start) for start, end in less(there, holes))
