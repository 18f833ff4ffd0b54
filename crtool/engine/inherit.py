"""What one address space can take over from another by being born of it. Pure: records in, addresses out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter

from crtool.abi import mman
from crtool.engine.contents import Run, cut, saved_runs
from crtool.engine.snapshot import MemoryRecord
from crtool.resources.memory.mappings import MappingRecord

__all__ = ["Content", "Stretch", "are_alike", "common", "cut_out", "inside", "kept", "without"]

Stretch = tuple[int, int]
"""Addresses: start, end."""


class Content:
    """An address space of the image, with its pages in order, which take a while to be put together."""

    def __init__(self, memory: MemoryRecord) -> None:
        self.memory = memory
        self.runs = saved_runs(memory)


def common(content: Content, other: Content) -> list[Stretch]:
    """Where both have the same pages at the same addresses: those that the image has once for both of them."""
    found: list[Stretch] = []
    theirs = iter(other.runs)
    there = next(theirs, None)
    for run in content.runs:
        while there is not None and there.start + there.length <= run.start:
            there = next(theirs, None)
        while there is not None and there.start < run.start + run.length:
            start, end = max(run.start, there.start), min(run.start + run.length, there.start + there.length)
            if _place(run, start) == _place(there, start):
                if found and found[-1][1] == start:
                    start = found.pop()[0]
                found.append((start, end))
            if there.start + there.length > run.start + run.length:
                break
            there = next(theirs, None)
    return found


def _place(run: Run, address: int) -> int:
    assert run.data is not None
    return run.data + address - run.start


def kept(memory: MemoryRecord, other: MemoryRecord, both: Sequence[Stretch]) -> list[Stretch]:
    """The parts of mappings of *other* that are good for *memory*: alike, and with pages that *both* have."""
    found: list[Stretch] = []
    theirs = iter(other.mappings)
    there = next(theirs, None)
    for mapping in memory.mappings:
        while there is not None and there.end <= mapping.start:
            there = next(theirs, None)
        while there is not None and there.start < mapping.end:
            start, end = max(mapping.start, there.start), min(mapping.end, there.end)
            if are_alike(mapping, there) and next(inside(both, start, end), None):
                found.append((start, end))
            if there.end > mapping.end:
                break
            there = next(theirs, None)
    return found


def are_alike(mapping: MappingRecord, other: MappingRecord) -> bool:
    """Whether a fork carries *other*, and it differs from *mapping* in nothing but what can be changed later.

    A stack can be born too large, but not grow to where it has been.
    """
    return (
        not mapping.shared
        and not other.shared
        and not mapping.flags & mman.MAP_HUGETLB
        and mapping.flags == other.flags
        and mapping.inode == other.inode
        and (mapping.inode < 0 or mapping.start - mapping.offset == other.start - other.offset)
        and (mman.MADV_HUGEPAGE in mapping.advice) == (mman.MADV_HUGEPAGE in other.advice)
        and (not mapping.flags & mman.MAP_GROWSDOWN or mapping.start >= other.start)
    )


def inside(stretches: Sequence[Stretch], start: int, end: int) -> Iterator[Stretch]:
    """What of *stretches*, which are in order, is within *start*…*end*."""
    for first, last in islice(stretches, bisect_right(stretches, start, key=itemgetter(1)), None):
        if first >= end:
            return
        yield max(first, start), min(last, end)


def cut_out(whole: Stretch, holes: Sequence[Stretch]) -> Iterator[Stretch]:
    """*whole* without *holes*, which are in order."""
    at, end = whole
    for start, stop in inside(holes, at, end):
        if at < start:
            yield at, start
        at = stop
    if at < end:
        yield at, end


def without(runs: Sequence[Run], holes: Sequence[Stretch]) -> list[Run]:
    """*runs* without what lies in *holes*."""
    if not holes:
        return list(runs)
    return [
        part
        for run in runs
        for start, end in cut_out((run.start, run.start + run.length), holes)
        for part in cut((run,), start, end)
    ]
