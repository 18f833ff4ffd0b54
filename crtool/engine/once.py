"""Storing once what the processes of a tree have in common since they were forked.

Where the memory of a tree is read at the end, from twins or from processes that wait, all of it is compared, a window
of addresses at a time, so that crtool needs little memory for it. What is copied while the tree stands still is
compared as it comes (:meth:`crtool.engine.space.AddressSpace.keep`). The two are not compared with each other: the
frames of the one may belong to somebody else when the other is read.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

from crtool.engine.contents import Run, cut, saved_runs
from crtool.engine.snapshot import MemoryRecord
from crtool.engine.space import AddressSpace
from crtool.errors import TargetDied
from crtool.image.layout import DataLayout
from crtool.record import replace
from crtool.resources.memory.frames import Common, Frames
from crtool.resources.memory.pages import ExtentRecord, SharedRecord

if TYPE_CHECKING:
    from crtool.engine.parent import Parent

__all__ = ["common", "pagemap", "records"]

_WINDOW = 4 << 20  # bytes of addresses


def records(
    spaces: Sequence[AddressSpace], layout: DataLayout, parent: Parent | None = None
) -> tuple[MemoryRecord, ...]:
    """The records of all address spaces of a tree, with room in *layout* for what is stored with each of them.

    What *parent* has already is not to be written again.
    """
    for space, runs in zip(spaces, common([space.find() for space in spaces]), strict=True):
        if runs:
            space.leave_out(runs)
    found: list[MemoryRecord] = []
    runs_of: list[list[Run]] = []  # stored with each of them
    for space in spaces:
        places = (run for start, end, owner in space.common for run in cut(runs_of[owner], start, end))
        shared = [SharedRecord(run.start, run.length, run.data or 0) for run in places]
        found.append(space.record(layout, shared, parent))
        runs_of.append(saved_runs(replace(found[-1], shared=())))
    return tuple(found)


def pagemap(tid: int) -> int:
    """A descriptor of the page table of *tid*'s process."""
    try:
        return os.open(f"/proc/{tid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TargetDied(tid) from None


def common(spaces: Sequence[tuple[int, Sequence[ExtentRecord]]]) -> list[list[Common]]:
    """For each address space, given by a thread and its extents, the runs that one before it has too, in order.

    A run names the first one that has it, by its place in *spaces*. All of them stand still.
    """
    found: list[list[Common]] = [[] for _ in spaces]
    windows = list(_windows([extents for _, extents in spaces]))
    if not windows:
        return found
    starts = [[extent.start for extent in extents] for _, extents in spaces]
    with ExitStack() as stack:
        pagemaps: dict[int, int] = {}
        for number, (tid, extents) in enumerate(spaces):
            if not extents:
                continue
            pagemaps[number] = pagemap(tid)
            stack.callback(os.close, pagemaps[number])
        for window in windows:
            frames = Frames(pagemaps)
            for number, (_, extents) in enumerate(spaces):
                if inside := list(_inside(extents, starts[number], window)):
                    found[number] += frames.sift(number, inside)
    return found


def _windows(spaces: Sequence[Sequence[ExtentRecord]]) -> Iterator[int]:
    """Where those windows begin in which more than one address space has pages."""
    edges = sorted(
        edge
        for extents in spaces
        for extent in extents
        for edge in ((extent.start, 1), (extent.start + extent.length, -1))
    )
    depth, last = 0, -_WINDOW
    for (at, step), (stop, _) in pairwise(edges):
        depth += step
        if depth < 2 or at == stop:
            continue
        for window in range(max(at & -_WINDOW, last + _WINDOW), stop, _WINDOW):
            yield window
            last = window


def _inside(extents: Sequence[ExtentRecord], starts: Sequence[int], window: int) -> Iterator[ExtentRecord]:
    for extent in extents[max(bisect_right(starts, window) - 1, 0) : bisect_right(starts, window + _WINDOW - 1)]:
        start, end = max(extent.start, window), min(extent.start + extent.length, window + _WINDOW)
        if start < end:
            yield ExtentRecord(start, end - start)
