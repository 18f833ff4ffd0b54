"""Pages that several address spaces have in one frame of memory, as they have since a fork.

The kernel copies a page of private memory for a child when one of them writes to it, and not before.

We read /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): the number of a page's frame, which only who has
CAP_SYS_ADMIN is shown, and whether nobody else has the page mapped (PM_MMAP_EXCLUSIVE). Address spaces are compared at
the same address only: a fork moves nothing. The kernel moves pages from frame to frame when it likes (compaction),
also those of a task that stands still, so an entry that was found equal is read once more on both sides.

We rebuild them by a fork: :mod:`crtool.engine.heritage`.

What has been swapped out is stored for each address space that has it.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence

from crtool.arch import cpu
from crtool.resources.memory.pages import ExtentRecord

__all__ = ["Common", "Frames"]

Common = tuple[int, int, int]
"""A run of pages: start, end, and the number of the address space that had them first."""

_PRESENT = 1 << 63
_EXCLUSIVE = 1 << 56
_FRAME = (1 << 55) - 1
_WORD = 8
_PIECE = 16  # pages that are looked up at once, from a multiple of it on, in the hope that nobody has written to them
_NEAR = 2 << 20  # bytes between runs that are read at once
_ALL_EXCLUSIVE = int.from_bytes(_EXCLUSIVE.to_bytes(_WORD, "little") * _PIECE, "little")
_ADDRESS_BITS = 52  # of a page number


class Frames:
    """What has been seen of some address spaces, each of which has a number. All of them must stand still meanwhile."""

    def __init__(self, pagemaps: Mapping[int, int]) -> None:
        """*pagemaps*: a descriptor of /proc/PID/pagemap for each number."""
        self._pagemaps = pagemaps
        self._first: dict[int, int] = {}  # frame and address → who had it first
        # Address and entries of a whole piece → whose its runs are. One look for pages that were forked together.
        self._pieces: dict[tuple[int, bytes], list[Common]] = {}

    def sift(self, number: int, extents: Sequence[ExtentRecord]) -> list[Common]:
        """Adds *extents* of address space *number*; returns the runs of it that others had before, in order."""
        found: list[Common] = []
        for start, entries in self._read(number, extents):
            runs = self._pieces.get((start, entries))
            if runs is None:
                runs = self._look_up(number, start, entries)
                if runs:
                    self._pieces[start, entries] = runs
            for run in runs:
                if run[2] == number:
                    continue
                if found and found[-1][1] == run[0] and found[-1][2] == run[2]:
                    found[-1] = (found[-1][0], run[1], run[2])
                else:
                    found.append(run)
        return sorted(run for group in _groups(found) for run in self._still_so(number, group))

    def _read(self, number: int, extents: Sequence[ExtentRecord]) -> Iterator[tuple[int, bytes]]:
        """The entries of *extents*, in pieces: start address, 8 bytes for each page."""
        for extent in extents:
            entries = self._entries(number, extent.start, extent.length)
            at, end = extent.start // cpu.PAGE_SIZE, (extent.start + extent.length) // cpu.PAGE_SIZE
            first = at
            while at < end:
                stop = min((at // _PIECE + 1) * _PIECE, end)
                yield at * cpu.PAGE_SIZE, entries[(at - first) * _WORD : (stop - first) * _WORD]
                at = stop

    def _entries(self, number: int, start: int, length: int) -> bytes:
        """They are all zero, which is nobody's, if the process has died: it will be missed when it is copied."""
        size = length // cpu.PAGE_SIZE * _WORD
        return os.pread(self._pagemaps[number], size, start // cpu.PAGE_SIZE * _WORD).ljust(size, b"\0")

    def _look_up(self, number: int, start: int, entries: bytes) -> list[Common]:
        """Whose the pages of a piece are; those that cannot be anybody else's are left out."""
        exclusive = _ALL_EXCLUSIVE >> (_PIECE * _WORD - len(entries)) * 8
        if int.from_bytes(entries, "little") & exclusive == exclusive:
            return []
        runs: list[Common] = []
        for at, entry in enumerate(array("Q", entries), start // cpu.PAGE_SIZE):
            if not entry & _PRESENT or entry & _EXCLUSIVE or not entry & _FRAME:
                continue
            owner = self._first.setdefault((entry & _FRAME) << _ADDRESS_BITS | at, number)
            address = at * cpu.PAGE_SIZE
            if runs and runs[-1][1] == address and runs[-1][2] == owner:
                runs[-1] = (runs[-1][0], address + cpu.PAGE_SIZE, owner)
            else:
                runs.append((address, address + cpu.PAGE_SIZE, owner))
        return runs

    def _still_so(self, number: int, runs: Sequence[Common]) -> Iterator[Common]:
        """Those of *runs*, all of the same owner and near each other, in which both have the same frames now.

        The first one's entries were read before the other's and are read again after them: what was equal would have
        to have left its frame for the other's page, and come back to it, to be another page.
        """
        first, last, owner = runs[0][0], runs[-1][1], runs[0][2]
        mine, others = (self._entries(who, first, last - first) for who in (number, owner))
        for start, end, _ in runs:
            part = slice((start - first) // cpu.PAGE_SIZE * _WORD, (end - first) // cpu.PAGE_SIZE * _WORD)
            if mine[part] == others[part] or _frames(mine[part]) == _frames(others[part]):
                yield start, end, owner


def _frames(entries: bytes) -> list[int]:
    return [entry & _FRAME for entry in array("Q", entries)]


def _groups(runs: Sequence[Common]) -> Iterator[list[Common]]:
    """*runs*, which are in order, by owner, and where they are near each other."""
    open_ones: dict[int, list[Common]] = {}
    for run in runs:
        group = open_ones.setdefault(run[2], [])
        if group and run[0] - group[-1][1] > _NEAR:
            yield group
            group = open_ones[run[2]] = []
        group.append(run)
    yield from open_ones.values()
