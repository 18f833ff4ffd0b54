"""One address space under way into the image.

What only the frozen process can tell is read while it stands still. Its flags and pages are read where they still are:
from its twin (:mod:`crtool.puppet.twin`), once it goes on; from itself, if it waits; or from the spool, where what a
fork does not carry has been put.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from crtool.abi import mman
from crtool.engine.freeze import FrozenProcess
from crtool.engine.kept import Kept
from crtool.engine.room import is_limited
from crtool.engine.snapshot import MemoryRecord
from crtool.errors import ObstacleError, RemoteCallError, TargetDied
from crtool.image.layout import DataLayout
from crtool.image.spool import Spool
from crtool.procfs import maps as maps_file
from crtool.procfs import smaps as smaps_file
from crtool.procfs import status as status_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.procfs.smaps import Smap
from crtool.puppet import postbox
from crtool.puppet.hold import HeldProcess
from crtool.puppet.twin import Twin
from crtool.record import dataclass
from crtool.resources.files.userfaultfd import AreaRecord
from crtool.resources.memory import aio, direct, given_out, mappings, pages, written
from crtool.resources.memory.bounds import BoundsRecord
from crtool.resources.memory.frames import Common
from crtool.resources.memory.mappings import GuardRecord, MappingRecord
from crtool.resources.memory.pages import ExtentRecord, PageSink, SharedRecord
from crtool.resources.memory.vdso import VdsoRecord
from crtool.resources.memory.zeros import without_zeros
from crtool.resources.policy import Exclude

if TYPE_CHECKING:
    from crtool.engine.parent import Parent

__all__ = ["AddressSpace", "Fixed", "NotCarried", "future_locks"]

_WORTH_IT = 4 << 20  # bytes that pay for sending a descriptor to the twin
_HUGE = b"/anon_hugepage"  # what the kernel calls memory of huge pages without a file


class NotCarried(Exception):
    """A process, already let go, has memory that its twin does not have: it has to be frozen once more."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


Seen = Callable[["AddressSpace", Sequence[ExtentRecord]], list[Common]]
"""Tells what of an address space another one had before."""


class Sink(PageSink, Protocol):
    """Where bytes go. A twin can write to a file by itself (:mod:`crtool.resources.memory.direct`)."""

    @property
    def direct(self) -> int:
        """The descriptor of the file, −1 if there is none."""

    @property
    def position(self) -> int:
        """Where in the file the next byte belongs."""

    @property
    def length(self) -> int:
        """How long the file will be."""

    def written(self, nbytes: int) -> None:
        """The next *nbytes* are there."""


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
        self, process: FrozenProcess, maps: Sequence[Mapping], inodes: dict[int, int], exclude: Exclude = "none"
    ) -> None:
        """*maps*: as long as it stands still, without the scratch mapping and AIO rings; *inodes*: by the start of a
        mapping; *exclude*: what is not saved.
        """
        self.process = process
        self.maps = maps
        self.fixed: Fixed | None = None
        self.skipped = 0  # bytes of pages that are there, but need not be saved
        self.zero = 0  # bytes of pages of zeros
        self.common: list[Common] = []  # what others have too, by their place among the spaces of the tree
        self.extents: tuple[ExtentRecord, ...] = ()  # what has to be stored with this one
        self.changed: tuple[ExtentRecord, ...] = ()  # what of it has to be written
        self._inodes = inodes
        self._exclude = exclude
        self._smaps: Sequence[Smap] | None = None
        self._smaps_text = b""  # unparsed, where there was no time for that
        self._twin: Twin | None = None
        self._records: tuple[MappingRecord, ...] | None = None
        self._kept: Kept | None = None  # what has been copied while it stood still; None if it waits
        self._guards: tuple[GuardRecord, ...] = ()
        self._claimed: frozenset[tuple[int, int]] = frozenset()  # mappings that a userfaultfd of the tree watches

    @property
    def pid(self) -> int:
        """The number by which the process is spoken of."""
        return self.process.pid

    @property
    def is_forked(self) -> bool:
        """Whether a twin has its pages."""
        return self._twin is not None

    # -- while the process stands still ------------------------------------------------------------

    def smaps(self) -> Sequence[Smap]:
        """Flags and counters, of the process itself: that may take a while."""
        if self._smaps is None:
            own = {mapping.start for mapping in self.maps}
            found = smaps_file.parse(self._smaps_text or read(self.process.door, "smaps"))
            self._smaps = written.without_marks(self.process.door, [one for one in found if one.mapping.start in own])
        return self._smaps

    def keep(self, spool: Spool, seen: Seen | None = None) -> None:
        """Copies all pages to the spool; what the kernel says of the mappings is looked at later.

        *seen*: finds what the spool has already, of another process of the tree.
        """
        left_out: frozenset[int] = frozenset()
        if self._smaps is None:
            self._smaps_text = read(self.process.door, "smaps")
        # Not for each process: the vDSO's own data is always kept out of core dumps, and parsing takes a while.
        telling = (b" wf ", b" uw ", b" um ") + ((b" dd ",) if self._exclude == "dontdump" else ())
        if self._smaps is not None or any(word in self._smaps_text for word in telling):
            left_out = self._left_out(self.smaps())
        self._keep(
            spool,
            [
                pages.Stretch(mapping.start, mapping.end, mapping.shared, 0 if mappings.is_of_file(mapping) else -1)
                for mapping in self.maps
                if not mappings.is_special(mapping)
            ],
            left_out,
            seen,
        )

    def take_over(self, twin: Twin, spool: Spool, *, special: bool) -> None:
        """From here on the pages are the twin's; copies to the spool what it does not have.

        *special*: something is known to be missing. What does not show until the flags can be read (private pages of
        hugetlbfs without a name) raises NotCarried later.
        """
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
        extents, self._guards, self.skipped = pages.saved(self.process.door, records, left_out)
        extents = given_out.without_marks(self.process.door, extents, self._smaps or ())
        if seen is not None:
            self.common = seen(self, extents)
            extents = _stored(extents, self.common)
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
            found, self.zero = without_zeros(self._twin.memory, found, carried)
            self._guards = tuple(sorted((*self._guards, *guards), key=lambda guard: guard.start))
            self.skipped += skipped
        elif self._kept is None:  # it waits: nothing has been copied yet
            assert self.process.held is not None
            found, self._guards, self.skipped = pages.saved(door, records, self._left_out(self.smaps()))
            found = given_out.without_marks(door, found, self.smaps())
            found, self.zero = without_zeros(self.process.held.memory, found, records)
        else:
            self.extents = self._kept.extents
            return door, ()
        self.extents = found
        return door, found

    def leave_out(self, common: list[Common]) -> None:
        """Does not store what others have too, of what :meth:`find` has found."""
        self.common = common
        self.extents = _stored(self.extents, common)

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
        return MemoryRecord(
            mappings=self.records(),
            guards=self._guards,
            extents=self.extents,
            shared=tuple(shared),
            data=data,
            bounds=self.fixed.bounds,
            exe=self.fixed.exe,
            vdso=self.fixed.vdso,
            lock_future=self.fixed.lock_future,
            rings=self.fixed.rings,
        )

    def _read(self, address: int, view: memoryview) -> int:
        """Fills *view* with its memory at *address*; returns how much has come, 0 if none."""
        if self._kept is not None and address in self._kept:
            return self._kept.read(address, view)
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
                for extent in extents:
                    self._kept.pour(extent, sink)
            else:
                assert self._twin is not None
                self._copy_twin(self._twin, extents, sink)

    def _copy_twin(self, twin: Twin, extents: Sequence[ExtentRecord], sink: Sink) -> None:
        """Lets the twin write what it can read itself, and copies the rest."""
        number = self._door_to(twin, sink) if pages.total(extents) >= _WORTH_IT else -1
        for readable, some in pages.readable(extents, self.records()):
            done = 0
            if number >= 0 and readable:
                done = direct.write(twin.puppet, number, sink.position, some, sink.written)
            pages.copy(twin.tid, twin.memory, pages.after(some, done), sink)

    def _door_to(self, twin: Twin, sink: Sink) -> int:
        """The number of the image's descriptor in the twin, −1 if that cannot, or must not, write to it.

        A control group with a limit on its memory would have to pay for the page cache. Its owner may have ended.
        """
        if sink.direct < 0 or is_limited(twin.tid):
            return -1
        try:
            return postbox.send(twin.puppet, sink.direct) if direct.may_write(twin.puppet, sink.length) else -1
        except (OSError, RemoteCallError):
            return -1


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
    status = status_file.parse(text)
    if status.memory is None:
        return 0
    flags = [entry.flags for entry in space.smaps()]
    if not mappings.future_locks(status.memory.locked, flags, space.maps, held.scratch):
        return 0
    # What is locked as a whole is also populated as a whole.
    present = pages.present(door, held.scratch.data, held.scratch.end)
    return mman.MCL_FUTURE | (0 if present == held.scratch.capacity else mman.MCL_ONFAULT)
