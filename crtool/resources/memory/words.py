"""The words of smaps for mappings, known by their flags as the kernel has them.

/proc/PID/smaps tells what advice is in force for a mapping, and walks all of its page tables on the way: 20 ms for each
GiB, for which somebody stands still. A BPF iterator gives the flags as numbers in no time
(:mod:`crtool.kernel.vma_flags`).

Which words a number stands for is learned from smaps and numbers of the same process, while that stands still. Nothing
is taken for known that has not been seen, and if one number ever stands for two things nothing is known any more.

Nothing has to be rebuilt. What smaps counts is not known: where that is of interest, which is with locked mappings and
with hugetlbfs, smaps is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from crtool.arch import cpu
from crtool.kernel.vma_flags import Reader
from crtool.procfs.maps import Mapping
from crtool.procfs.smaps import Smap

__all__ = ["Words"]

_COUNTED = frozenset(("lo", "ht"))
_NOT_A_MAPPING = b"[vsyscall]"  # stands in smaps, and is in no address space


class Words:
    """What has been learned, of any process. As long as it is not prepared it knows nothing."""

    def __init__(self) -> None:
        self._reader: Reader | None = None
        self._prepared = False
        self._known: dict[int, tuple[frozenset[str], int]] = {}  # words and protection key

    def prepare(self) -> None:
        """Loads the program, once, if that can be: it takes 0.1 s."""
        if not self._prepared:
            self._prepared = True
            with suppress(OSError, KeyError):
                self._reader = Reader()

    def learn(self, tid: int, smaps: Sequence[Smap]) -> None:
        """From what *smaps* says of *tid*'s process, which still stands still."""
        if self._reader is None:
            return
        told = {(entry.mapping.start, entry.mapping.end): (entry.flags, entry.protection_key) for entry in smaps}
        try:
            numbers = self._reader.read(tid)
        except OSError:
            return
        for start, end, number in numbers:
            if (words := told.get((start, end))) and self._known.setdefault(number, words) != words:
                return self.close()

    def of(self, tid: int, maps: Sequence[Mapping]) -> list[Smap] | None:
        """What smaps would say of *maps*, of *tid*'s process, but for what it counts; None if that is not known."""
        if self._reader is None or not self._known:
            return None
        try:
            numbers = {(start, end): number for start, end, number in self._reader.read(tid)}
        except OSError:
            return None
        found = []
        for mapping in maps:
            words: tuple[frozenset[str], int] | None = frozenset(), 0
            if mapping.name != _NOT_A_MAPPING:
                words = self._known.get(numbers.get((mapping.start, mapping.end), -1))
            if words is None or words[0] & _COUNTED:
                return None
            flags, key = words
            found.append(Smap(mapping, flags, cpu.PAGE_SIZE, 0, 0, 0, 0, thp_eligible=False, protection_key=key))
        return found

    def close(self) -> None:
        """Forgets all, and learns nothing any more."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._known.clear()
