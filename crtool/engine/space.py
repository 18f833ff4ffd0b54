"""One address space under way into the image.

What only the frozen process can tell is read while it stands still. Its flags and pages are read where they still are:
from its twin (:mod:`crtool.puppet.twin`), once it goes on; from itself, if it waits; or from the spool, where what a
fork does not carry has been put.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from crtool.abi import mman
from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.kept import Kept
from crtool.engine.snapshot import MemoryRecord
from crtool.engine.twin_pages import Sink, copy_twin
from crtool.errors import ObstacleError, TargetDied
from crtool.image.layout import DataLayout
from crtool.image.spool import Spool
from crtool.kernel.ranges import Ranges, common, less
from crtool.procfs import maps as maps_file
from crtool.procfs import smaps as smaps_file
from crtool.procfs import status as status_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.procfs.smaps import Smap
from crtool.puppet.hold import HeldProcess
from crtool.puppet.twin import Twin
from crtool.record import dataclass
from crtool.resources.files.userfaultfd import AreaRecord
from crtool.resources.memory import aio, given_out, mappings, pages, written
from crtool.resources.memory.bounds import BoundsRecord
from crtool.resources.memory.frames import Common
from crtool.resources.memory.mappings import GuardRecord, MappingRecord
from crtool.resources.memory.pages import ExtentRecord, SharedRecord
from crtool.resources.memory.vdso import VdsoRecord
from crtool.resources.memory.words import Words
from crtool.resources.memory.zeros import may_have_zeros, without_zeros
from crtool.resources.policy import Exclude

if TYPE_CHECKING:
    from crtool.engine.parent import Parent

__all__ = ["AddressSpace", "Fixed", "NotCarried", "future_locks"]

_HUGE = b"/anon_hugepage"  # what the kernel calls memory of huge pages without a file


class NotCarried(Exception):
    """A process, already let go, has memory that its twin does not have: it has to be frozen once more."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


Seen = Callable[["AddressSpace", Sequence[ExtentRecord]], list[Common]]
"""Tells what of an address space another one had before."""


@dataclass(frozen=True)
class Fixed:
    """What is known of an address space when its process goes on."""

    bounds: BoundsRecord
    exe: int  # index among the inodes
    vdso: VdsoRecord
    lock_future: int  # MCL_* in force
    rings: tuple[aio.RingRecord, ...]  # of asynchronous input and output


class AddressSpace:
    """The mappings and pages of one process, or of several that share them."""

    def __init__(
        self,
        process: FrozenProcess,
        maps: Sequence[Mapping],
        inodes: dict[int, int],
        exclude: Exclude = "none",
        words: Words | None = None,
    ) -> None:
        """*maps*: as long as it stands still, without the scratch mapping and AIO rings; *inodes*: by the start of a
        mapping; *exclude*: what is not saved; *words*: knows what smaps says of many mappings.
        """
        self.process = process
        self.maps = maps
        self.fixed: Callable[[], Fixed] | None = None
        self.skipped = 0  # bytes of pages that are there, but need not be saved
        self.zero = 0  # bytes of pages of zeros
        self.common: list[Common] = []  # what others have too, by their place among the spaces of the tree
        self.extents: tuple[ExtentRecord, ...] = ()  # what has to be stored with this one
        self.changed: tuple[ExtentRecord, ...] = ()  # what of it has to be written
        self._inodes = inodes
        self._exclude = exclude
        self._words = words
        self._smaps: Sequence[Smap] | None = None
        self._smaps_text = b""  # unparsed, where there was no time for that
        self._twin: Twin | None = None
        self._records: tuple[MappingRecord, ...] | None = None
        self._kept: Kept | None = None  # what has been copied while it stood still; None if it waits
        self._guards: tuple[GuardRecord, ...] = ()
        self._claimed: frozenset[tuple[int, int]] = frozenset()  # mappings that a userfaultfd of the tree watches
        self._unchanged: Ranges = ()  # what the parent of the image has, where nothing else is copied
        # What a look has found while it stands still: pages, guards, bytes that need not be saved.
        self._seen: tuple[tuple[ExtentRecord, ...], tuple[GuardRecord, ...], int] | None = None

    @property
    def pid(self) -> int:
        """The number by which the process is spoken of."""
        return self.process.pid

    @property
    def is_forked(self) -> bool:
        """Whether a twin has its pages."""
        return self._twin is not None

    @property
    def is_known(self) -> bool:
        """Whether only that of it is copied which the parent of the image does not have."""
        return bool(self._unchanged)

    # -- while the process stands still ------------------------------------------------------------

    def smaps(self) -> Sequence[Smap]:
        """Flags and counters, of the process itself: that may take a while."""
        if self._smaps is None:
            own = {mapping.start for mapping in self.maps}
            found = smaps_file.parse(self._smaps_text or read(self.process.door, "smaps"))
            self._smaps = written.without_marks(self.process.door, [one for one in found if one.mapping.start in own])
        return self._smaps

    def look(self, unchanged: Ranges) -> int:
        """How many bytes there are beside *unchanged*, which :meth:`keep` leaves out if it is what comes next."""
        self._seen = pages.saved(self.process.door, _stretches(self.maps))
        self._unchanged = unchanged
        return sum(end - start for start, end in less(_ranges(self._seen[0]), unchanged))

    def keep(self, spool: Spool, seen: Seen | None = None) -> None:
        """Copies all pages to the spool; what the kernel says of the mappings is looked at later.

        *seen*: finds what the spool has already, of another process of the tree.
        """
        left_out: frozenset[int] = frozenset()
        if self._smaps is None and self._words is not None and self._unchanged:
            self._smaps = self._smaps_by_words(self._words)
        if self._smaps is None:
            self._smaps_text = read(self.process.door, "smaps")
        # Not for each process: the vDSO's own data is always kept out of core dumps, and parsing takes a while.
        telling = (b" wf ", b" uw ", b" um ") + ((b" dd ",) if self._exclude == "dontdump" else ())
        if self._smaps is not None or any(word in self._smaps_text for word in telling):
            left_out = self._left_out(self.smaps())
        self._keep(spool, _stretches(self.maps), left_out, seen)

    def _smaps_by_words(self, words: Words) -> Sequence[Smap]:
        """For one that is large, of which reading smaps would take longer than all else."""
        door = self.process.door
        known = words.of(door, self.maps)
        if known is not None:
            return written.without_marks(door, known)
        self._smaps_text = read(door, "smaps")
        words.learn(door, smaps_file.parse(self._smaps_text))
        return self.smaps()

    def take_over(self, twin: Twin, spool: Spool, *, special: bool) -> None:
        """From here on the pages are the twin's; copies to the spool what it does not have.

        *special*: something is known to be missing. What does not show until the flags can be read (private pages of
        hugetlbfs without a name) raises NotCarried later.
        """
        self._unchanged, self._seen = (), None
        text = maps_file.without(read(twin.tid, "maps"), twin.scratch.start, twin.scratch.end)
        same = list(self.maps) == list(maps_file.parse(text))
        special = special or not same or (_HUGE in text and any(map(_is_huge, self.maps)))
        if special or self._smaps is not None:
            apart = [record for record in self.records() if _stays_behind(record)]
            self._keep(spool, apart, self._left_out(self.smaps()))
        else:
            self._kept = Kept(spool, spool.length, ())
        self._twin = twin

    def _keep(
        self,
        spool: Spool,
        records: Sequence[MappingRecord | pages.Stretch],
        left_out: frozenset[int],
        seen: Seen | None = None,
    ) -> None:
        assert self.process.held is not None
        if self._seen is None or left_out:
            self._seen = pages.saved(self.process.door, records, left_out)
        (extents, self._guards, self.skipped), self._seen = self._seen, None
        extents = given_out.without_marks(self.process.door, extents, self._smaps or ())
        if seen is not None:
            self.common = seen(self, extents)
            extents = _stored(extents, self.common)
        self.extents = extents
        if self._unchanged:
            apart = less(_ranges(extents), self._unchanged)
            extents = tuple(ExtentRecord(start, end - start) for start, end in apart)
        self._kept = Kept(spool, spool.length, extents)
        pages.copy(self.process.door, self.process.held.memory, extents, spool)

    def _left_out(self, smaps: Sequence[Smap]) -> frozenset[int]:
        """Where the mappings start of which no page is saved."""
        return frozenset(
            entry.mapping.start
            for entry in smaps
            if mappings.is_emptied(entry.flags) or (self._exclude == "dontdump" and "dd" in entry.flags)
        )

    def claim(self, areas: Sequence[AreaRecord]) -> None:
        """A userfaultfd of the tree watches *areas*, and is saved."""
        self._claimed = frozenset((area.start, area.end) for area in areas)

    # -- when it may go on already -----------------------------------------------------------------

    def records(self) -> tuple[MappingRecord, ...]:
        """Its mappings; ObstacleError if one of them cannot be saved."""
        if self._records is None:
            smaps = self._flags()
            flags = [
                entry.flags - mappings.WATCHED
                if (entry.mapping.start, entry.mapping.end) in self._claimed
                else entry.flags
                for entry in smaps
            ]
            if found := mappings.obstacles(self.pid, self.maps, flags):
                raise ObstacleError(found)
            self._records = mappings.dump(
                self.maps,
                flags,
                [entry.page_size for entry in smaps],
                [entry.protection_key for entry in smaps],
                [entry.rss + entry.swap for entry in smaps],
                lambda mapping: self._inodes[mapping.start],
            )
        return self._records

    def _flags(self) -> Sequence[Smap]:
        """Flags and counters of the process if they are known, else of the twin if there is one."""
        if self._smaps is None and self._twin is not None:
            self._smaps = self._smaps_of(self._twin)
        return self.smaps()

    def _smaps_of(self, twin: Twin) -> list[Smap]:
        found = smaps_file.parse(read(twin.tid, "smaps"))
        own = [entry for entry in found if not twin.scratch.start <= entry.mapping.start < twin.scratch.end]
        if len(own) != len(self.maps):  # it was killed: the dead have no memory
            raise TargetDied(twin.tid)
        for entry in own:
            if "ht" in entry.flags and not entry.mapping.shared:
                raise NotCarried(self.pid)
        return own

    def find(self) -> tuple[int, Sequence[ExtentRecord]]:
        """Looks for the pages; returns those that are still where they were, and the thread that has them."""
        records = self.records()
        door = self.process.door
        found: tuple[ExtentRecord, ...]
        if self._twin is not None:
            door = self._twin.tid
            carried = [record for record in records if not _stays_behind(record)]
            try:
                found, guards, skipped = pages.saved(door, carried, self._left_out(self._flags()))
            except OSError:
                raise TargetDied(door) from None
            found, self.zero = without_zeros(self._read, found, carried)
            self._guards = tuple(sorted((*self._guards, *guards), key=lambda guard: guard.start))
            self.skipped += skipped
        elif self._kept is None:  # it waits: nothing has been copied yet
            assert self.process.held is not None
            found, self._guards, self.skipped = pages.saved(door, records, self._left_out(self.smaps()))
            found = given_out.without_marks(door, found, self.smaps())
            found, self.zero = without_zeros(self._read, found, records)
        else:
            if self._unchanged:
                self._leave_out_zeros(self._kept.zeros(), records)
            return door, ()
        self.extents = found
        return door, found

    def _leave_out_zeros(self, zeros: Ranges, records: Sequence[MappingRecord]) -> None:
        """What has been copied of private anonymous memory, and is zero, need not be stored."""
        holes = common(zeros, [(record.start, record.end) for record in records if may_have_zeros(record)])
        self.zero = sum(end - start for start, end in holes)
        self.extents = tuple(pages.without(self.extents, holes))

    def leave_out(self, runs: list[Common]) -> None:
        """Does not store what others have too, of what :meth:`find` has found."""
        self.common = runs
        self.extents = _stored(self.extents, runs)

    def record(
        self, layout: DataLayout, shared: Sequence[SharedRecord], parent: Parent | None = None
    ) -> MemoryRecord:
        """The whole record; reserves room for the pages. *shared*: where those in :attr:`common` are.

        What *parent* has already is not to be written again.
        """
        if self._twin is not None and self._kept is not None and self._kept.extents:
            self.extents = tuple(sorted((*self.extents, *self._kept.extents), key=lambda extent: extent.start))
        data = layout.reserve(pages.total(self.extents)).offset
        self.changed = self.extents
        if parent is not None:
            self.changed = parent.changed(self.process, self.extents, self._read, layout, data)
        assert self.fixed is not None
        fixed = self.fixed()
        return MemoryRecord(
            mappings=self.records(),
            guards=self._guards,
            extents=self.extents,
            shared=tuple(shared),
            data=data,
            bounds=fixed.bounds,
            exe=fixed.exe,
            vdso=fixed.vdso,
            lock_future=fixed.lock_future,
            rings=fixed.rings,
        )

    def _read(self, address: int, view: memoryview) -> int:
        """Fills *view* with its memory at *address*; returns how much has come, 0 if none."""
        if self._kept is not None and address in self._kept:
            return self._kept.read(address, view)
        if self._kept is not None and self._twin is None:
            return 0  # it has gone on
        held = self.process.held
        memory = self._twin.memory if self._twin is not None else -1 if held is None else held.memory
        try:
            return os.preadv(memory, [view], address)
        except OSError:
            return 0

    def copy(self, sink: Sink) -> None:
        """Writes the pages that are to be written, in the order of their addresses."""
        if self._kept is None:
            assert self.process.held is not None
            pages.copy(self.process.door, self.process.held.memory, self.changed, sink)
            return
        for is_kept, extents in _runs(self.changed, self._kept):
            if is_kept:
                self._kept.pour(extents, sink)
            else:
                assert self._twin is not None
                copy_twin(self._twin, extents, self.records(), sink)


@maps_file.of_brothers
def _stretches(maps: Sequence[Mapping]) -> tuple[pages.Stretch, ...]:
    wanted = [mapping for mapping in maps if not mappings.is_special(mapping)]
    return tuple([pages.Stretch(m.start, m.end, m.shared, 0 if mappings.is_of_file(m) else -1) for m in wanted])


def _ranges(extents: Sequence[ExtentRecord]) -> list[tuple[int, int]]:
    return [(extent.start, extent.start + extent.length) for extent in extents]


def _stored(extents: Sequence[ExtentRecord], common: Sequence[Common]) -> tuple[ExtentRecord, ...]:
    """*extents* without what others have too."""
    return tuple(pages.without(extents, [run[:2] for run in common]))


def _runs(extents: Sequence[ExtentRecord], kept: Kept) -> Iterator[tuple[bool, list[ExtentRecord]]]:
    """*extents* in runs of those that have been kept, and of others."""
    return ((is_kept, list(run)) for is_kept, run in groupby(extents, lambda extent: extent.start in kept))


def _stays_behind(record: MappingRecord) -> bool:
    """Whether a fork does not carry the pages of a private mapping.

    Huge pages of hugetlbfs are carried, but where there are no more of them the child loses its own.
    """
    return not record.shared and (mman.MADV_DONTFORK in record.advice or bool(record.flags & mman.MAP_HUGETLB))


def _is_huge(mapping: Mapping) -> bool:
    return not mapping.shared and mapping.name.startswith(_HUGE)


def future_locks(space: AddressSpace, held: HeldProcess) -> int:
    """MCL_FUTURE, and perhaps MCL_ONFAULT, if the process has had its future mappings locked, else 0."""
    door = space.process.door
    text = read(door, "status")
    if b"\nVmLck:\t       0 kB\n" in text:
        return 0
    status = status_file.later(text)
    if status.memory is None:
        return 0
    flags = [entry.flags for entry in space.smaps()]
    if not mappings.future_locks(status.memory.locked, flags, space.maps, held.scratch):
        return 0
    # What is locked as a whole is also populated as a whole.
    present = pages.present(door, held.scratch.data, held.scratch.end)
    return mman.MCL_FUTURE | (0 if present == held.scratch.capacity else mman.MCL_ONFAULT)
