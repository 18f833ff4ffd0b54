"""What an address space should be like while others are born of it. Pure: records in, a record out.

Who has borne children may have written to a page since, which its children still share with each other: one process
has the new page, and many the old one. So the old one is put there for the births, and the new one after them; and what
it has given back to the kernel since is there for the births too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from crtool.arch import cpu
from crtool.engine.inherit import Content, Stretch, are_alike, common, cut_out, inside, without
from crtool.engine.snapshot import MemoryRecord
from crtool.record import replace
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import SharedRecord

__all__ = ["forebear"]


def forebear(content: Content, heirs: Sequence[Content]) -> Content:
    """*content*, but with those pages that most of *heirs* have in common, where fewer have those of *content*."""
    chosen = _chosen(content, heirs)
    if not chosen:
        return content
    memory = content.memory
    mappings, places = _mappings(memory, [heir.memory for heir in heirs], sorted(chosen))
    pages = [page for page in sorted(chosen) if next(inside(places, _address(page), _address(page + 1)), None)]
    others = list(_joined(pages, chosen))
    holes = [(run.start, run.start + run.length) for run in others]
    own = without(content.runs, holes)
    runs = sorted((*others, *(SharedRecord(run.start, run.length, run.data or 0) for run in own)), key=_start)
    return Content(replace(memory, mappings=tuple(mappings), extents=(), shared=tuple(runs)))


def _address(page: int) -> int:
    return page * cpu.PAGE_SIZE


def _start(record: SharedRecord | MappingRecord) -> int:
    return record.start


def _chosen(content: Content, heirs: Sequence[Content]) -> dict[int, int]:
    """Page number → where the page is in the image."""
    alike = [common(heir, content) for heir in heirs]
    votes: Counter[tuple[int, int]] = Counter()
    for heir, same in zip(heirs, alike, strict=True):
        for shared in heir.memory.shared:
            for start, end in cut_out((shared.start, shared.start + shared.length), same):
                data = shared.data + start - shared.start
                numbers = range(start // cpu.PAGE_SIZE, end // cpu.PAGE_SIZE)
                votes.update(zip(numbers, range(data, data + end - start, cpu.PAGE_SIZE), strict=True))
    wanted = sorted({page for page, _ in votes})
    depths = dict(zip(wanted, _depths(alike, wanted), strict=True))
    chosen: dict[int, int] = {}
    for (page, data), count in votes.items():
        # One more has it than refers to it: with whom it is stored. But *content*, too, has its own page.
        if count > depths[page] and count > votes.get((page, chosen.get(page, -1)), 0):
            chosen[page] = data
    return chosen


def _depths(stretches: Sequence[Sequence[Stretch]], numbers: Sequence[int]) -> Iterator[int]:
    """In how many of *stretches* each page of *numbers*, which are in order, is."""
    edges = iter(sorted(edge for some in stretches for start, end in some for edge in ((start, 1), (end, -1))))
    edge = next(edges, None)
    depth = 0
    for page in numbers:
        while edge is not None and edge[0] <= _address(page):
            depth += edge[1]
            edge = next(edges, None)
        yield depth


def _mappings(
    memory: MemoryRecord, heirs: Sequence[MemoryRecord], numbers: Sequence[int]
) -> tuple[list[MappingRecord], list[Stretch]]:
    """The mappings of *memory*, with those of *heirs* where it has none any more, and where *numbers* can be put."""
    mappings = list(memory.mappings)
    places: list[Stretch] = []
    seen: set[MappingRecord] = set()
    for heir in heirs:
        for mapping in heir.mappings:
            first = bisect_left(numbers, mapping.start // cpu.PAGE_SIZE)
            if first == len(numbers) or _address(numbers[first]) >= mapping.end or mapping in seen:
                continue
            seen.add(mapping)
            here = [other for other in mappings if other.start < mapping.end and mapping.start < other.end]
            if not here and not mapping.shared:
                mappings.append(mapping)
                here = [mapping]
            for other in here:
                if are_alike(mapping, other):
                    places.append((max(mapping.start, other.start), min(mapping.end, other.end)))
    return sorted(mappings, key=_start), _union(places)


def _union(stretches: Sequence[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _joined(numbers: Sequence[int], chosen: dict[int, int]) -> Iterator[SharedRecord]:
    """The pages *numbers* in runs."""
    run: SharedRecord | None = None
    for page in numbers:
        start, data = _address(page), chosen[page]
        if run is not None and (run.start + run.length, run.data + run.length) == (start, data):
            run = SharedRecord(run.start, run.length + cpu.PAGE_SIZE, run.data)
            continue
        if run is not None:
            yield run
        run = SharedRecord(start, cpu.PAGE_SIZE, data)
    if run is not None:
        yield run
