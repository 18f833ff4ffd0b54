"""What is registered with a ring of io_uring (io_uring_register(2)): files, buffers, an eventfd, numbers of the ring.

The kernel keeps tables of files and of buffers, with holes, and a tag for each entry; the free slots that it may give
out itself; an eventfd that is told of completions; and, with a thread, numbers by which that calls a ring.

We read the kernel's structures (:mod:`crtool.kernel.uring_registered`). They have addresses of open files, which are
found behind descriptors of the tree, and frames of memory, which must be those that the page map of a process shows
where the buffer is.

We rebuild them by the process whose memory it is, or by the only thread that may submit, when all are born and the ring
is in its place.

Refused: a file that no process of the tree has a descriptor for; a buffer whose memory has been unmapped since, or is
of a process that does not have the ring; a number of a thread that is in no process which has the ring.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers, RemoteCallError, TargetDied
from crtool.kernel.uring_registered import FixedBuffer, Registered, frames_of
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass

__all__ = [
    "REMEDY",
    "BufferRecord",
    "FileRecord",
    "NumberRecord",
    "RegisteredRecord",
    "dump",
    "is_sound",
    "mentioned",
    "restore",
    "restore_number",
    "why_not",
]

REMEDY = "let the program unregister it, or do without, as by UV_USE_IO_URING=0 for libuv"
_FILES, _FILES_UPDATE, _BUFFERS, _BUFFERS_UPDATE = 13, 14, 15, 16  # IORING_REGISTER_FILES2…
_EVENTFD, _EVENTFD_ASYNC, _RING_FDS, _RANGE = 4, 7, 20, 25
_SPARSE = 1
_TABLE = struct.Struct("<IIQQQ")  # struct io_uring_rsrc_register: slots, flags, reserved, entries, tags
_UPDATE = struct.Struct("<IIQQII")  # struct io_uring_rsrc_update2: first slot, reserved, entries, tags, count, reserved
_AT_ONCE = 512  # entries in one call
_MOST_FILES, _MOST_BUFFERS = 1 << 20, 1 << 14  # IORING_MAX_FIXED_FILES, IORING_MAX_REG_BUFFERS
_FRAME, _PRESENT = (1 << 55) - 1, 1 << 63
_Entry = TypeVar("_Entry", "FileRecord", "BufferRecord")
_PIECE = 1 << 14  # entries of a page map that are read at once


@dataclass(frozen=True)
class FileRecord:
    """A registered file."""

    slot: int
    description: int  # its index
    tag: int  # for the program, in a completion when the file goes


@dataclass(frozen=True)
class BufferRecord:
    """A registered buffer."""

    slot: int
    address: int
    length: int  # bytes
    tag: int


@dataclass(frozen=True)
class NumberRecord:
    """A number by which a thread calls the ring."""

    tid: int
    number: int


@dataclass(frozen=True)
class RegisteredRecord:
    """All that is registered with a ring."""

    holder: int  # PID of the process whose memory the buffers are
    file_slots: int  # 0: there is no table of files
    files: tuple[FileRecord, ...]
    alloc_start: int  # slots from which the kernel gives out free ones
    alloc_end: int
    hint: int  # … and where it looks first
    buffer_slots: int  # 0: there is no table of buffers
    buffers: tuple[BufferRecord, ...]
    eventfd: int  # index of its description, −1 if there is none
    eventfd_async: bool  # it is told only of what was not done at once
    numbers: tuple[NumberRecord, ...]


def why_not(found: Registered, files: Collection[int], contexts: Collection[int], pids: Sequence[int]) -> str | None:
    """Why it cannot be registered again, if so. *files* and *contexts*: addresses of files that the tree has open, and
    of what is behind these; *pids*: of processes that have the ring.
    """
    for each in found.files:
        if each.file not in files:
            return f"a registered file (slot {each.slot}) that no process of the tree has open"
    if found.eventfd and found.eventfd not in contexts:
        return "a registered eventfd that no process of the tree has open"
    for tid, _ in found.numbers:
        if not any(os.path.exists(f"/proc/{pid}/task/{tid}") for pid in pids):
            return f"a number by which TID {tid} has registered it, which is no thread of a process that has it open,"
    if found.buffers and _holder(found.buffers, pids) is None:
        return "registered buffers that are not in the memory of a process that has it open"
    return None


def _holder(buffers: Sequence[FixedBuffer], pids: Sequence[int]) -> int | None:
    for pid in pids:
        with suppress(OSError, TargetDied), open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
            if all(_is_there(pagemap.fileno(), buffer) for buffer in buffers):
                return pid
    return None


def _is_there(pagemap: int, buffer: FixedBuffer) -> bool:
    """Whether the memory at the address of a buffer is what has been registered."""
    frames = frames_of(buffer)
    first = buffer.address // cpu.PAGE_SIZE
    if len(frames) != -(-(buffer.address + buffer.length) // cpu.PAGE_SIZE) - first:
        return False
    for start in range(0, len(frames), _PIECE):
        wanted = frames[start : start + _PIECE]
        entries = array("Q", os.pread(pagemap, 8 * len(wanted), 8 * (first + start)))
        if [entry & _FRAME if entry & _PRESENT else -1 for entry in entries] != list(wanted):
            return False
    return True


def dump(
    found: Registered, files: Mapping[int, int], contexts: Mapping[int, int], pids: Sequence[int]
) -> RegisteredRecord:
    """The record, where :func:`why_not` finds nothing; *files* and *contexts* lead to indices of descriptions."""
    holder = _holder(found.buffers, pids)
    assert holder is not None
    return RegisteredRecord(
        holder=holder,
        file_slots=found.file_slots,
        files=tuple(FileRecord(each.slot, files[each.file], each.tag) for each in found.files),
        alloc_start=found.alloc_start,
        alloc_end=found.alloc_end,
        hint=found.hint,
        buffer_slots=found.buffer_slots,
        buffers=tuple(BufferRecord(each.slot, each.address, each.length, each.tag) for each in found.buffers),
        eventfd=contexts[found.eventfd] if found.eventfd else -1,
        eventfd_async=found.eventfd_async,
        numbers=tuple(NumberRecord(tid, number) for tid, number in found.numbers),
    )


def mentioned(record: RegisteredRecord) -> set[int]:
    """The descriptions that it needs."""
    return {each.description for each in record.files} | ({record.eventfd} if record.eventfd >= 0 else set())


def is_sound(record: RegisteredRecord) -> bool:
    """Whether that can be registered with a ring."""
    slots = [each.slot for each in record.files], [each.slot for each in record.buffers]
    if not 0 <= record.file_slots <= _MOST_FILES or not 0 <= record.buffer_slots <= _MOST_BUFFERS:
        return False
    for found, count in zip(slots, (record.file_slots, record.buffer_slots), strict=True):
        if len(set(found)) < len(found) or any(not 0 <= slot < count for slot in found):
            return False
    tags = [each.tag for each in record.files] + [each.tag for each in record.buffers]
    numbers = (record.alloc_start, record.alloc_end, record.hint, *tags)
    fits = all(0 <= each.address < 1 << 63 and 0 < each.length <= 1 << 30 for each in record.buffers)
    ordered = record.alloc_start <= record.alloc_end <= max(record.file_slots, record.alloc_start)
    return fits and ordered and min(numbers) >= 0 and all(0 <= each.number < 16 for each in record.numbers)


def restore(record: RegisteredRecord, fd: int, puppet: Puppet, number: Callable[[int], int]) -> None:
    """Lets *puppet* register all but numbers with ring *fd*, as it knows it; *number* gives a descriptor, likewise, by
    its description.
    """
    try:
        _tables(record, fd, puppet, number)
        if record.file_slots:
            _range(record, fd, puppet, number)
        if record.eventfd >= 0:
            batch = Batch()
            found = batch.data(struct.pack("<i", number(record.eventfd)))
            batch.call("io_uring_register", fd, _EVENTFD_ASYNC if record.eventfd_async else _EVENTFD, found, 1)
            puppet.run(batch)
    except RemoteCallError as error:
        cause = f"what was registered with an io_uring cannot be registered again: {os.strerror(error.errno or 0)}"
        raise EnvironmentDiffers(cause, "raise the limits of open files and locked memory (ulimit -n, -l)") from None


def _tables(record: RegisteredRecord, fd: int, puppet: Puppet, number: Callable[[int], int]) -> None:
    batch = Batch()
    for slots, table in ((record.file_slots, _FILES), (record.buffer_slots, _BUFFERS)):
        if slots:
            batch.call("io_uring_register", fd, table, batch.data(_TABLE.pack(slots, _SPARSE, 0, 0, 0)), _TABLE.size)
    for run in _runs(record.files):
        _update(batch, fd, _FILES_UPDATE, run, b"".join(struct.pack("<i", number(each.description)) for each in run))
    for part in _runs(record.buffers):
        vectors = b"".join(struct.pack("<QQ", each.address, each.length) for each in part)
        _update(batch, fd, _BUFFERS_UPDATE, part, vectors)
    puppet.run(batch)


def _runs(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """Entries in slots that follow each other."""
    run: list[_Entry] = []
    for each in sorted(entries, key=lambda entry: entry.slot):
        if run and (each.slot != run[-1].slot + 1 or len(run) == _AT_ONCE):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _update(batch: Batch, fd: int, which: int, run: Sequence[FileRecord | BufferRecord], entries: bytes) -> None:
    tags = batch.data(struct.pack(f"<{len(run)}Q", *(each.tag for each in run)))
    packed = _UPDATE.pack(run[0].slot, 0, 0, 0, len(run), 0)
    batch.call("io_uring_register", fd, which, batch.data(packed, {8: batch.data(entries), 16: tags}), _UPDATE.size)


def _range(record: RegisteredRecord, fd: int, puppet: Puppet, number: Callable[[int], int]) -> None:
    """Slots that are given out, and which of them is the next: to fill one and empty it makes it that."""
    batch = Batch()
    found = struct.pack("<IIQ", record.alloc_start, record.alloc_end - record.alloc_start, 0)
    batch.call("io_uring_register", fd, _RANGE, batch.data(found), 0)
    taken = {each.slot for each in record.files}
    free = [slot for slot in range(record.alloc_start, record.alloc_end) if slot not in taken]
    following = [slot for slot in free if slot >= record.hint] or free
    if following and following[0] != free[0]:
        dummy = number(record.files[0].description) if record.files else puppet.call("eventfd2", 0, os.O_CLOEXEC)
        for content in (dummy, -1):
            some = [FileRecord(following[0], 0, 0)]
            _update(batch, fd, _FILES_UPDATE, some, struct.pack("<i", content))
        if not record.files:
            batch.call("close", dummy)
    puppet.run(batch)


def restore_number(record: NumberRecord, fd: int, puppet: Puppet) -> None:
    """Lets *puppet*, the thread, have its number for ring *fd*."""
    batch = Batch()
    found = batch.data(struct.pack("<IIQ", record.number, 0, fd))
    batch.call("io_uring_register", fd, _RING_FDS, found, 1, label="number of an io_uring")
    puppet.run(batch)
