"""Sets of addresses: ranges (start, end) in order, of which no two overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Ranges", "common", "joined", "less", "total"]

Ranges = Sequence[tuple[int, int]]


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The set of all addresses in *ranges*, which may come in any order, overlap, and be there twice."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def common(first: Ranges, second: Ranges) -> list[tuple[int, int]]:
    """What is in both sets."""
    found = []
    others = iter(second)
    other = next(others, None)
    for start, end in first:
        while other is not None and other[1] <= start:
            other = next(others, None)
        while other is not None and other[0] < end:
            found.append((max(start, other[0]), min(end, other[1])))
            if other[1] > end:
                break
            other = next(others, None)
    return found


def less(first: Ranges, second: Ranges) -> list[tuple[int, int]]:
    """What is in the first set, and not in the second."""
    return list(_less(first, second))


def _less(first: Ranges, second: Ranges) -> Iterator[tuple[int, int]]:
    others = iter(second)
    other = next(others, None)
    for begin, end in first:
        start = begin
        while other is not None and other[1] <= start:
            other = next(others, None)
        while other is not None and other[0] < end:
            if start < other[0]:
                yield start, other[0]
            start = other[1]
            if start >= end:
                break  # it may reach into the next
            other = next(others, None)
        if start < end:
            yield start, end


def total(ranges: Ranges) -> int:
    """Bytes of a set."""
    return sum(end - start for start, end in ranges)
