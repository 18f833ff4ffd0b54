"""Laying out an address space in a newborn: its mappings, and its pages.

The newborn may be blank, or be born of somebody whose memory was there already, and whose pages it shares then as the
processes of the image did: what is alike stays, everything else goes, and what differs is filled in. Of each page the
kernel makes a copy when it is written to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crtool.abi import mman
from crtool.arch import cpu
from crtool.engine.contents import Run, cut
from crtool.engine.fill import fill_memory
from crtool.engine.inherit import Content, Stretch, common, cut_out, inside, kept, without
from crtool.engine.prepare import Prepared
from crtool.engine.snapshot import MemoryRecord
from crtool.kernel.ranges import joined
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn, Space
from crtool.record import replace
from crtool.resources.files.inodes import RingMemoryRecord
from crtool.resources.files.uring import UringRecord
from crtool.resources.files.userfaultfd import UserfaultfdRecord
from crtool.resources.memory import fenced, mappings
from crtool.resources.memory.lazy import may_be_lazy

__all__ = ["filled", "lay"]

_READWRITE = mman.PROT_READ | mman.PROT_WRITE


def lay(
    puppet: Newborn,
    prepared: Prepared,
    content: Content,
    heritage: Content | None,
    *,
    huge_pages: bool,
    lazily: bool = False,
) -> list[Run]:
    """Maps and fills *content*, but for what belongs to System V IPC. *heritage*: what has been laid out there before.

    *huge_pages*: the program does not refuse them. *lazily*: pages that can come later are not filled in, but returned.
    """
    memory, runs = content.memory, content.runs
    both: list[Stretch] = []
    keep: list[Stretch] = []
    batch = Batch()
    if heritage is not None:
        both = common(content, heritage)
        keep = kept(memory, heritage.memory, both)
        _clear(batch, puppet, keep)
    into = filled(content)
    rings = _of_rings(memory, prepared)
    if rings:  # when there is little else, since everything else will be fenced off
        puppet.run(batch)
        batch = Batch()
        for ring in rings:
            fenced.place(puppet, ring, prepared.mapped(ring))
    for mapping in memory.mappings:
        if mapping.inode in prepared.ipc or mapping in rings:
            continue
        fd = -1 if mapping.inode < 0 else prepared.mapped(mapping)
        for start, end in cut_out((mapping.start, mapping.end), keep):
            offset = mapping.offset + start - mapping.start if mapping.inode >= 0 else mapping.offset
            part = replace(mapping, start=start, end=end, offset=offset)
            mappings.place(batch, part, fd, writable=mapping.start in into)
        for start, end in inside(keep, mapping.start, mapping.end):
            protection = mapping.protection | (_READWRITE if mapping.start in into else 0)
            batch.call("mprotect", start, end - start, protection, label=f"{start:x}")
    if heritage is not None:
        _drop(batch, [run for start, end in keep for run in cut(heritage.runs, start, end)], runs)
        runs = without(runs, _within(both, keep))
    puppet.run(batch)
    late = [run for start, end in keep for run in cut(runs, start, end)]
    fresh = without(runs, keep)
    places = list(_lazy_places(memory, keep, _given_out(memory, prepared))) if lazily else []
    fill_memory(puppet, prepared, memory, without(fresh, places), late, huge_pages=huge_pages)
    return [run for start, end in places for run in cut(fresh, start, end)]


def _of_rings(memory: MemoryRecord, prepared: Prepared) -> list[mappings.MappingRecord]:
    """The mappings of rings of io_uring: those of packet sockets go where they are told."""
    files = prepared.snapshot.files
    mapped = [each for each in memory.mappings if each.inode >= 0]
    found = [each for each in mapped if isinstance(files.inodes[each.inode], RingMemoryRecord)]
    rings = {record.inode for record in files.descriptions if isinstance(record, UringRecord)} if found else ()
    return [each for each in found if each.inode in rings]


def _given_out(memory: MemoryRecord, prepared: Prepared) -> list[Stretch]:
    """What of *memory* the program itself gives out, or protects, by a userfaultfd: there can be one only."""
    snapshot = prepared.snapshot
    owners = {
        record.pids[0]
        for record in snapshot.processes
        if record.memory >= 0 and snapshot.memories[record.memory] is memory
    }
    records = [record for record in snapshot.files.descriptions if isinstance(record, UserfaultfdRecord)]
    return joined((area.start, area.end) for record in records if record.owner in owners for area in record.areas)


def _lazy_places(memory: MemoryRecord, keep: Sequence[Stretch], given_out: Sequence[Stretch]) -> Iterator[Stretch]:
    """The mappings whose pages can come later. What has been inherited is there already."""
    taken = joined([*keep, *given_out])
    for mapping in memory.mappings:
        inherited = next(inside(taken, mapping.start, mapping.end), None)
        if may_be_lazy(mapping) and inherited is None and not memory.lock_future:
            yield mapping.start, mapping.end


def _clear(batch: Batch, puppet: Newborn, keep: Sequence[Stretch]) -> None:
    """Unmaps everything but *keep* and the room in which newborns live."""
    room = (puppet.scratch.start, puppet.scratch.start + Space.SIZE)
    for start, end in cut_out((0, cpu.TASK_SIZE), sorted([*keep, room])):
        batch.call("munmap", start, end - start, label=f"{start:x}")


def _drop(batch: Batch, there: Sequence[Run], runs: Sequence[Run]) -> None:
    """Takes away the pages *there* that are to be none, or to be the file's."""
    wanted = [(run.start, run.start + run.length) for run in runs]
    for run in there:
        for start, end in cut_out((run.start, run.start + run.length), wanted):
            batch.call("madvise", start, end - start, mman.MADV_DONTNEED, label=f"{start:x}")


def _within(stretches: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    return [part for start, end in others for part in inside(stretches, start, end)]


def filled(content: Content) -> set[int]:
    """The start addresses of the mappings into which pages are filled that the program itself may not write."""
    found = set()
    runs = iter(content.runs)
    run = next(runs, None)
    for record in content.memory.mappings:
        while run is not None and run.start + run.length <= record.start:
            run = next(runs, None)
        if run is None:
            break
        if run.start < record.end and record.protection & _READWRITE != _READWRITE:
            found.add(record.start)
    return found
