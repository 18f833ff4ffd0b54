"""Where the bytes of a saved address space are: in the image's data, in its records, or in a file with a name."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from crtool.abi import mman
from crtool.arch import cpu
from crtool.engine.snapshot import MemoryRecord
from crtool.record import dataclass, replace
from crtool.resources.files.inodes import InodeRecord, MountedRecord, PathRecord
from crtool.resources.memory.mappings import MappingRecord

if TYPE_CHECKING:
    from crtool.image.reader import ImageReader

__all__ = ["Load", "Run", "cut", "loads", "over", "saved", "saved_runs", "stored_runs", "with_zeros"]

_MOST = 16 << 20


@dataclass(frozen=True)
class Run:
    """Bytes of memory that follow each other and come from one place."""

    start: int  # address
    length: int
    data: int | None  # offset in the image's data area, None for zeros


@dataclass(frozen=True)
class Load:
    """A stretch of memory."""

    start: int  # address
    length: int
    protection: int  # PROT_*
    runs: tuple[Run, ...]  # all of its bytes, or nothing: they are in a file
    content: bytes = b""  # instead of runs: what is in the records


def loads(memory: MemoryRecord, inodes: Sequence[InodeRecord]) -> Iterator[Load]:
    """All of an address space, mapping by mapping."""
    runs = saved_runs(memory)
    for mapping in memory.mappings:
        inside = list(cut(runs, mapping.start, mapping.end))
        inode = inodes[mapping.inode] if mapping.inode >= 0 else None
        if inode is None:
            # What was never touched reads as zeros, but nobody reads memory that is only reserved.
            reserved = not inside and mapping.protection == mman.PROT_NONE
            yield _load(mapping, () if reserved else with_zeros(inside, mapping.start, mapping.end))
        elif isinstance(inode, PathRecord | MountedRecord):
            at = mapping.start
            for run in inside:
                if at < run.start:
                    yield Load(at, run.start - at, mapping.protection, ())
                yield Load(run.start, run.length, mapping.protection, (run,))
                at = run.start + run.length
            if at < mapping.end:
                yield Load(at, mapping.end - at, mapping.protection, ())
        else:
            content = _content_runs(mapping, inode.content.extents, inode.content.data)
            below = with_zeros(list(cut(list(content), mapping.start, mapping.end)), mapping.start, mapping.end)
            yield _load(mapping, tuple(over(below, inside)))
    for special in memory.vdso.mappings:
        if special.name == b"[vdso]" and memory.vdso.code:
            code = memory.vdso.code
            yield Load(special.start, len(code), mman.PROT_READ | mman.PROT_EXEC, (), code)


def _load(mapping: MappingRecord, runs: tuple[Run, ...]) -> Load:
    return Load(mapping.start, mapping.size, mapping.protection, runs)


def saved_runs(memory: MemoryRecord) -> list[Run]:
    """All saved pages of an address space, in the order of their addresses."""
    runs, offset = [Run(shared.start, shared.length, shared.data) for shared in memory.shared], memory.data
    for extent in memory.extents:
        runs.append(Run(extent.start, extent.length, offset))
        offset += extent.length
    return sorted(runs, key=lambda run: run.start) if memory.shared else runs


def stored_runs(memory: MemoryRecord, inodes: Sequence[InodeRecord]) -> Iterator[tuple[Run, bool]]:
    """All whole pages of an address space that the image has, in order, also those of files without names; and whether
    zeros in them hide something else.
    """
    private = saved_runs(memory)
    for mapping in memory.mappings:
        inside = [(run, mapping.inode >= 0) for run in cut(private, mapping.start, mapping.end)]
        inode = inodes[mapping.inode] if mapping.inode >= 0 else None
        if inode is not None and not isinstance(inode, PathRecord | MountedRecord):
            content = [
                replace(run, length=run.length + -run.length % cpu.PAGE_SIZE)
                for run in _content_runs(mapping, inode.content.extents, inode.content.data)
            ]
            own = [run for run, _ in inside]
            below = [part for run in cut(content, mapping.start, mapping.end) for part in _beside(run, own)]
            inside = sorted([*inside, *((run, False) for run in below)], key=_address)
        yield from inside


def _beside(run: Run, others: Sequence[Run]) -> Iterator[Run]:
    """What of *run* is in none of *others*."""
    at, end = run.start, run.start + run.length
    for other in cut(others, at, end):
        yield from cut((run,), at, other.start)
        at = other.start + other.length
    yield from cut((run,), at, end)


def _address(found: tuple[Run, bool]) -> int:
    return found[0].start


def saved(memory: MemoryRecord, reader: ImageReader, start: int, end: int) -> bytes:
    """The bytes from address *start* to *end*, empty if they are not all among the saved ones, or more than arguments
    and environment of a program can be (execve(2)): an image says where these are, and may say that it has anything.
    """
    if end - start > _MOST:
        return b""
    runs, at = list(cut(saved_runs(memory), start, end)), start
    for run in runs:
        if run.start != at or run.data is None:
            return b""
        at += run.length
    if at != end:
        return b""
    # Only now: the addresses may be any numbers.
    found = bytearray(end - start)
    for run in runs:
        assert run.data is not None
        reader.read_at(run.data, memoryview(found)[run.start - start : run.start - start + run.length])
    return bytes(found)


def _content_runs(mapping: MappingRecord, extents: Sequence[tuple[int, int]], data: int) -> Iterator[Run]:
    """The parts of a file's content, at the addresses at which *mapping* has them."""
    for offset, length in extents:
        yield Run(mapping.start + offset - mapping.offset, length, data)
        data += length + -length % cpu.PAGE_SIZE


def cut(runs: Sequence[Run], start: int, end: int) -> Iterator[Run]:
    """What of *runs*, which are in order, is within *start*…*end*."""
    for run in islice(runs, bisect_right(runs, start, key=lambda run: run.start + run.length), None):
        if run.start >= end:
            return
        first, last = max(run.start, start), min(run.start + run.length, end)
        if first < last:
            yield Run(first, last - first, None if run.data is None else run.data + first - run.start)


def with_zeros(runs: Sequence[Run], start: int, end: int) -> tuple[Run, ...]:
    """*runs* with runs of zeros in between, so that *start*…*end* is whole."""
    whole = []
    for run in runs:
        if start < run.start:
            whole.append(Run(start, run.start - start, None))
        whole.append(run)
        start = run.start + run.length
    if start < end:
        whole.append(Run(start, end - start, None))
    return tuple(whole)


def over(below: Sequence[Run], above: Sequence[Run]) -> Iterator[Run]:
    """*below*, with what is private to the process, *above*, in its place."""
    for run in below:
        at, end = run.start, run.start + run.length
        for private in cut(above, at, end):
            yield from cut((run,), at, private.start)
            yield private
            at = private.start + private.length
        yield from cut((run,), at, end)
