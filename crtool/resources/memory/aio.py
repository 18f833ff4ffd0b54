"""Contexts of asynchronous input and output (io_setup(2)).

The kernel keeps a ring of results in a mapping of the program's, whose address is the name of the context. The program,
or the kernel for it, moves the ring's head when results are taken; the tail, where the next one goes, is the kernel's
own, and so is the count of requests that may still be made.

We read size and tail from the kernel (:mod:`crtool.kernel.aio`), head and results that nobody has taken from the ring.

We rebuild the ring by io_setup(2) with a number that gives one of the same size, and move it to its place by
mremap(2), which the kernel follows. Requests that are done at once bring the tail to where it was: those whose results
have been taken first, then as many as nobody has, so that the kernel counts these. Then the true results are put into
the ring.

Refused: requests in flight, if they do not end in a moment. What they read or write could be in the image, but not that
they have to be answered. Lost: the index in the first word of the ring, which is the kernel's own, results that have
been taken already and not yet been overwritten, and advice (madvise(2)) for the ring.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

from crtool.abi import aio as abi
from crtool.abi import mman
from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers, InternalError, Obstacle, ObstacleError, RemoteCallError
from crtool.kernel import aio
from crtool.kernel.aio import Context
from crtool.procfs.maps import Mapping
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.record import dataclass

__all__ = ["NAME", "RingRecord", "await_quiet", "dump", "early_obstacles", "is_possible", "is_ring", "restore"]

NAME = b"/[aio]"
_READWRITE = mman.PROT_READ | mman.PROT_WRITE
_PATIENCE, _PAUSE = 2.0, 0.001  # seconds that requests in flight are given, and between two looks
_AT_ONCE = 4096  # requests in one call
_POLLIN = 1
_AREA = -(-(abi.IOCB.size + 8 * _AT_ONCE) // cpu.PAGE_SIZE) * cpu.PAGE_SIZE  # bytes for a request, and pointers to it
_CAUSE = "has an AIO context (io_setup), and requests in flight cannot be seen"
_HELP = "run crtool as root, or let the program do without: innodb_use_native_aio=0 for MariaDB and MySQL"


@dataclass(frozen=True)
class RingRecord:
    """One context."""

    start: int  # address of the ring
    end: int  # address behind it
    protection: int  # PROT_* bits
    head: int  # number of the first result that nobody has taken
    tail: int  # number of the next result
    results: bytes  # struct io_event, from head to tail

    @property
    def size(self) -> int:
        """Bytes of the ring."""
        return self.end - self.start


def is_ring(mapping: Mapping) -> bool:
    """Whether *mapping* is the ring of a context."""
    return mapping.name == NAME and mapping.deleted


def early_obstacles(pid: int, maps: bytes) -> list[Obstacle]:
    """That there are rings among the mappings (/proc/PID/maps), and what is in flight cannot be told."""
    if NAME not in maps or (why := aio.why_not()) is None:
        return []
    return [Obstacle(pid, "", f"{_CAUSE}: {why}", _HELP)]


def await_quiet(pid: int, tid: int, check: Callable[[], None]) -> tuple[Context, ...]:
    """The contexts of process *pid*, which stands still, when nothing is in flight any more.

    Waits a moment for that, and calls *check* meanwhile. Raises ObstacleError.
    """
    if (why := aio.why_not()) is not None:  # the preflight has asked, unless the ring is new
        raise ObstacleError([Obstacle(pid, "", f"{_CAUSE}: {why}", _HELP)])
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            found = aio.contexts(tid)
        except OSError as error:
            raise ObstacleError([Obstacle(pid, "", f"{_CAUSE}: {error}", _HELP)]) from None
        busy = next((context for context in found if context.in_flight), None)
        if busy is None:
            return found
        if time.monotonic() > deadline:
            cause = f"asynchronous I/O is under way (io_submit): {busy.in_flight} requests"
            raise ObstacleError([Obstacle(pid, f"mapping {busy.address:x}", cause, "try again when it has ended")])
        check()
        time.sleep(_PAUSE)


def dump(pid: int, memory: int, rings: Sequence[Mapping], contexts: Sequence[Context]) -> tuple[RingRecord, ...]:
    """The records of *rings*, mappings of process *pid*, whose memory can be read by descriptor *memory*."""
    known = {context.address: context for context in contexts}
    return tuple(_record(pid, memory, ring, known) for ring in rings)


def _record(pid: int, memory: int, ring: Mapping, known: dict[int, Context]) -> RingRecord:
    context = known.get(ring.start)
    if context is None or context.size != ring.size or context.entries != abi.entries(ring.size):
        raise ObstacleError(
            [Obstacle(pid, f"mapping {ring.start:x}", "is a part of an AIO ring, or one without a context", "unmap it")]
        )
    count = context.entries
    head = abi.RING.unpack(os.pread(memory, abi.RING.size, ring.start))[2] % count
    results = b"".join(
        os.pread(memory, length * abi.EVENT.size, ring.start + _place(first))
        for first, length in _parts(head, (context.tail - head) % count, count)
    )
    protection = mman.PROT_READ * ring.read | mman.PROT_WRITE * ring.write | mman.PROT_EXEC * ring.execute
    return RingRecord(ring.start, ring.end, protection, head, context.tail, results)


def is_possible(record: RingRecord) -> bool:
    """Whether a ring, of whole pages, can be like that."""
    count = abi.entries(record.size)
    return (
        record.size <= abi.MOST_BYTES + cpu.PAGE_SIZE
        and 0 <= record.head < count
        and 0 <= record.tail < count
        and len(record.results) == (record.tail - record.head) % count * abi.EVENT.size
    )


def _place(number: int) -> int:
    """Where in a ring result *number* is."""
    return abi.RING.size + number * abi.EVENT.size


def _parts(first: int, length: int, count: int) -> Iterator[tuple[int, int]]:
    """*length* results from *first* on, in a ring of *count*: first and length of the parts that follow each other."""
    until = min(length, count - first)
    yield first, until
    if length > until:
        yield 0, length - until


def restore(puppet: Newborn, records: Sequence[RingRecord]) -> None:
    """Makes the contexts of *records*, each at its address, where nothing is mapped."""
    if not records:
        return
    batch = Batch()
    hold = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE | mman.MAP_FIXED_NOREPLACE
    for record in records:  # so that the kernel puts none in the place of another
        batch.call("mmap", record.start, record.size, mman.PROT_NONE, hold, -1, 0, label=f"{record.start:x}")
    area = batch.call("mmap", 0, _AREA, _READWRITE, mman.MAP_PRIVATE | mman.MAP_ANONYMOUS, -1, 0)
    ready = batch.call("eventfd2", 1, os.EFD_CLOEXEC)
    puppet.run(batch)
    # The room for requests that is left is counted per CPU, and only that of one CPU is used up here.
    cpus = os.sched_getaffinity(puppet.tid)
    os.sched_setaffinity(puppet.tid, {min(cpus)})
    try:
        request = abi.IOCB.pack(0, 0, 0, abi.CMD_POLL, 0, ready.value, _POLLIN, 0, 0, 0, 0, 0)
        pointers = area.value.to_bytes(8, "little") * _AT_ONCE
        _write(puppet, area.value, request + pointers)
        for record in records:
            _make(puppet, record)
            _bring_to(puppet, record, area.value + len(request))
    finally:
        os.sched_setaffinity(puppet.tid, cpus)
    batch = Batch()
    batch.call("munmap", area.value, _AREA)
    batch.call("close", ready.value)
    for record in records:
        if record.protection != _READWRITE:
            batch.call("mprotect", record.start, record.size, record.protection, label=f"{record.start:x}")
    puppet.run(batch)


def _make(puppet: Newborn, record: RingRecord) -> None:
    batch = Batch()
    address = batch.buffer(8)
    wanted = abi.request_for(record.size, cpu.PAGE_SIZE)
    made = batch.call("io_setup", wanted, address, must=False)
    puppet.run(batch)
    if made.errno:
        raise EnvironmentDiffers(
            f"PID {puppet.pid}: an AIO context for {wanted} requests cannot be made: {os.strerror(made.errno)}",
            "let the machine have more: sysctl fs.aio-max-nr",
        )
    start = int.from_bytes(address.read(), "little")
    count = abi.RING.unpack(os.pread(puppet.memory, abi.RING.size, start))[1]
    if count != abi.entries(record.size):
        raise EnvironmentDiffers(
            f"an AIO ring has {count} entries or more on this machine, and had {abi.entries(record.size)}",
            "restart it on a machine with no more CPUs than the first",
        )
    batch = Batch()
    flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED
    batch.call("mremap", start, record.size, record.size, flags, record.start, label=f"{record.start:x}")
    puppet.run(batch)


def _bring_to(puppet: Newborn, record: RingRecord, pointers: int) -> None:
    """Lets requests be made until the ring's tail is where it was, and puts results into it.

    *pointers*: the address of as many pointers to a request as are made at once.
    """
    count = abi.entries(record.size)
    left = record.head
    while left:
        left -= _submit(puppet, record, pointers, left)
        _write(puppet, record.start + abi.HEAD_AT, (record.head - left).to_bytes(4, "little"))
    left = len(record.results) // abi.EVENT.size
    while left:
        left -= _submit(puppet, record, pointers, left)
    done = 0
    for first, length in _parts(record.head, len(record.results) // abi.EVENT.size, count):
        part = record.results[done : done + length * abi.EVENT.size]
        _write(puppet, record.start + _place(first), part)
        done += len(part)
    _, _, head, tail, *_ = abi.RING.unpack(os.pread(puppet.memory, abi.RING.size, record.start))
    if (head, tail) != (record.head, record.tail):
        raise InternalError(f"AIO ring {record.start:x}: {head}…{tail}, not {record.head}…{record.tail}")


def _submit(puppet: Newborn, record: RingRecord, pointers: int, wanted: int) -> int:
    """How many of *wanted* requests have been made."""
    call = puppet.call("io_submit", record.start, min(wanted, _AT_ONCE), pointers, must=False)
    if call.errno:
        arguments = (record.start, min(wanted, _AT_ONCE), pointers)
        raise RemoteCallError("io_submit", arguments, call.errno, puppet.pid)
    return call.value


def _write(puppet: Newborn, address: int, content: bytes) -> None:
    if os.pwrite(puppet.memory, content, address) != len(content):
        raise InternalError(f"PID {puppet.pid}: memory at {address:x} cannot be written")
