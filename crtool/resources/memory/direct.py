"""Pages that a task brings into the image itself.

The kernel copies them from the task's memory into the page cache of the image, once, as cp(1) does; they do not pass
through crtool, which reads the checksums off the page cache afterwards.

We let the task, a twin, call pwritev(2) on the image, whose descriptor is sent to it. A batch has as much as is written
while crtool takes the checksum of the last one. The calls end early at a page that the task may not read itself, or if
the disk is full: what is left is copied through crtool, which then reports what is wrong. Where there is a lot, and
nobody will want it from the page cache, the twin puts references to its pages into pipes instead, each of which is
empty, and takes what it is given without waiting.

Nothing has to be rebuilt.

Not for a task that may not write files of that size (RLIMIT_FSIZE): it would get a signal.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from crtool.errors import RemoteCallError
from crtool.puppet.batch import Batch, Call
from crtool.puppet.puppet import Puppet
from crtool.resources.memory.pages import ExtentRecord

if TYPE_CHECKING:
    from crtool.image.splicer import Load, Splicer

__all__ = ["may_write", "splice", "write"]

_RLIMIT_FSIZE = 1
_LIMITS = struct.Struct("<QQ")
_IOV_MAX = 1024
# Bytes that are written in one stop of the task: long enough that stopping costs nothing, and short enough that the
# checksums are taken while they are in the cache of the CPU's last level, or at least of the page tables.
_STEP = 16 << 20


def may_write(puppet: Puppet, length: int) -> bool:
    """Whether the task may write a file of *length* bytes; raises its limit as far as it may itself."""
    batch = Batch()
    old = batch.buffer(_LIMITS.size)
    batch.call("prlimit64", 0, _RLIMIT_FSIZE, 0, old)
    puppet.run(batch)
    _, hard = _LIMITS.unpack(old.read())
    if hard < length:
        return False
    puppet.call("prlimit64", 0, _RLIMIT_FSIZE, _LIMITS.pack(hard, hard), 0)
    return True


def write(
    puppet: Puppet, fd: int, position: int, extents: Sequence[ExtentRecord], written: Callable[[int], None]
) -> int:
    """Lets *puppet* write *extents*, one after the other, to *position* of the file that it has as *fd*.

    *written* is told of every step. Returns the bytes that were written: fewer than there are if one call failed.
    """
    done = 0
    batch, calls, size = Batch(), [], 0
    vector: list[tuple[int, int]] = []
    pending = 0  # bytes of the vector

    def push() -> None:
        nonlocal pending, size
        if vector:
            calls.append((_call(batch, fd, position + done + size, vector), pending))
            size += pending
            vector.clear()
            pending = 0

    def flush() -> bool:
        nonlocal batch, size, done
        push()
        whole, got = _run(puppet, batch, calls)
        if got:
            written(got)
        done += got
        batch, size = Batch(), 0
        calls.clear()
        return whole

    for extent in extents:
        start, left = extent.start, extent.length
        while left:
            part = min(left, _STEP - size - pending)
            vector.append((start, part))
            start, left, pending = start + part, left - part, pending + part
            if size + pending == _STEP:
                if not flush():
                    return done
            elif len(vector) == _IOV_MAX:
                push()
    flush()
    return done


def splice(
    puppet: Puppet,
    splicer: Splicer,
    ends: Sequence[int],
    extents: Sequence[ExtentRecord],
    take: Callable[[Load], None],
) -> int:
    """Lets *puppet* put *extents*, one after the other, into the pipes of *splicer*, which it has as *ends*.

    *take* gets every load. Returns the bytes that are in loads: fewer than there are if one call failed.
    """
    done = 0
    vectors = _vectors(extents, splicer.capacity)
    while some := list(islice(vectors, splicer.lanes)):
        bank = splicer.bank()
        batch, calls = Batch(), []
        for number, vector in zip(bank, some, strict=False):
            size = sum(length for _, length in vector)
            calls.append((batch.call("vmsplice", ends[number], _packed(vector), len(vector), 0), size))
        whole, got = _run(puppet, batch, calls)
        splicer.is_broken = not whole
        if got:
            left, lengths = got, []
            for _, expected in calls:
                lengths.append(min(left, expected))
                left -= lengths[-1]
            take(splicer.load(bank, lengths))
        done += got
        if not whole:
            break
    return done


def _vectors(extents: Sequence[ExtentRecord], capacity: int) -> Iterator[list[tuple[int, int]]]:
    """Address and length of all that is in *extents*, in lists of *capacity* bytes; the last may have less."""
    vector: list[tuple[int, int]] = []
    room = capacity
    for extent in extents:
        start, left = extent.start, extent.length
        while left:
            part = min(left, room)
            vector.append((start, part))
            start, left, room = start + part, left - part, room - part
            if not room:
                yield vector
                vector, room = [], capacity
    if vector:
        yield vector


def _packed(vector: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack("<QQ", *part) for part in vector)


def _call(batch: Batch, fd: int, offset: int, vector: list[tuple[int, int]]) -> Call:
    return batch.call("pwritev", fd, _packed(vector), len(vector), offset, 0, label=f"{vector[0][0]:x}")


def _run(puppet: Puppet, batch: Batch, calls: Sequence[tuple[Call, int]]) -> tuple[bool, int]:
    """Whether all was written, and how much was, from the beginning on."""
    try:
        puppet.run(batch)
    except RemoteCallError:
        pass  # the calls tell which
    got = 0
    for call, expected in calls:
        if not call.ok:
            return False, got
        got += call.value
        if call.value != expected:
            return False, got
    return True, got
