"""System V shared memory (shmget(2)).

The kernel keeps a segment until it is removed and nobody has it attached: its id and key, size, owner and creator, and
whether it is locked in memory, of huge pages, or removed already.

We read IPC_STAT. Its content is a file for us, reached where somebody has it attached through /proc/PID/map_files, and
otherwise by attaching it for a moment.

We rebuild it by shmget(2), with the id chosen by /proc/sys/kernel/shm_next_id and by a thread that has the creator's
identity for that call. A process attaches it where it was; of what it had unmapped of it, it gets rid again. One that
is still there and that nobody has attached gets back its content.

Lost: the times, and the PIDs of who made it and attached it last. Refused: one that somebody has attached here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from crtool.abi import ipc, mman
from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers
from crtool.kernel import sysvipc
from crtool.kernel.sysvipc import Permissions, Taken
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["Piece", "SegmentRecord", "attach", "dump", "fill", "is_there", "opened", "restore"]

_ROOM = 1 << 20  # bytes that are copied at once


@dataclass(frozen=True)
class SegmentRecord:
    """A segment."""

    permissions: Permissions
    size: int  # bytes
    page_size: int  # bytes, of huge pages; 0 for ordinary ones
    locked: bool  # SHM_LOCK
    removed: bool  # IPC_RMID: it goes when nobody has it attached any more
    inode: int  # index of its content among the inodes of the image
    used: bool  # by the tree; if not, one that is still there is left alone


@dataclass(frozen=True)
class Piece:
    """A mapping of a segment; what is left of it after munmap(2) and mprotect(2)."""

    start: int
    end: int
    offset: int  # byte of the segment at which it starts
    protection: int  # PROT_*
    may_write: bool  # it was not attached with SHM_RDONLY


def dump(number: int, inode: int, page_size: int, *, used: bool) -> SegmentRecord:
    """The record of segment *number*, whose content is inode *inode* of the image, in pages of *page_size*."""
    permissions, mode = sysvipc.stat("shm", number)
    size, _ = sysvipc.segment_size(number)
    huge = page_size if page_size > cpu.PAGE_SIZE else 0
    locked, removed = bool(mode & ipc.SHM_LOCKED), bool(mode & ipc.SHM_DEST)
    return SegmentRecord(permissions, size, huge, locked, removed, inode, used)


@contextmanager
def opened(number: int) -> Iterator[tuple[int, bytes]]:
    """A descriptor (O_PATH) of the content of a segment, and the path that /proc shows for it."""
    size, _ = sysvipc.segment_size(number)
    with sysvipc.attached(number, size, writable=False) as (address, _):
        name = next(name for name in os.listdir("/proc/self/map_files") if name.startswith(f"{address:x}-"))
        path = f"/proc/self/map_files/{name}"
        fd, link = os.open(path, os.O_PATH | os.O_CLOEXEC), os.fsencode(os.readlink(path))
    try:
        yield fd, link
    finally:
        os.close(fd)


def is_there(record: SegmentRecord) -> bool:
    """Whether the segment need not be made; EnvironmentDiffers if it is another one, or in use."""
    wanted = record.permissions
    try:
        there, _ = sysvipc.stat("shm", wanted.id)
    except OSError:
        return False
    size, users = sysvipc.segment_size(wanted.id)
    if (there.key, there.cuid, size) != (wanted.key, wanted.cuid, record.size):
        raise EnvironmentDiffers(f"{_shown(record)} is another one now, of user {there.cuid}", _ELSEWHERE)
    if users and record.used:
        raise EnvironmentDiffers(f"{_shown(record)} is in use: attached {users} times", _ELSEWHERE)
    return True


def restore(record: SegmentRecord) -> bool:
    """Makes the segment; False if it is there already."""
    if is_there(record):
        return False
    wanted, shown = record.permissions, _shown(record)
    flags = 0
    if record.page_size:
        flags = ipc.SHM_HUGETLB | (record.page_size.bit_length() - 1) << ipc.SHM_HUGE_SHIFT
    try:
        sysvipc.create("shm", wanted, record.size, flags=flags)
    except Taken as taken:
        raise EnvironmentDiffers(taken.cause(shown), _ELSEWHERE) from None
    except OSError as error:
        raise EnvironmentDiffers(f"{shown} ({record.size} bytes): {error.strerror}", _LIMITS) from None
    if record.locked:
        with sysvipc.removed_after_failure("shm", wanted.id):
            _lock(wanted.id, shown)
    return True


def _shown(record: SegmentRecord) -> str:
    return f"System V shared memory with id {record.permissions.id}"


_LIMITS = "see the limits in /proc/sys/kernel/shm* and, for huge pages, vm.nr_hugepages"
_ELSEWHERE = "wait until it is gone, or restart with --pidns: then the processes have objects of their own"


def _lock(number: int, shown: str) -> None:
    try:
        sysvipc.lock(number)
    except OSError as error:
        cause = f"{shown} cannot be locked in memory: {error.strerror}"
        raise EnvironmentDiffers(cause, "raise the limit of locked memory (ulimit -l), or run crtool as root") from None


def fill(record: SegmentRecord, content: int) -> None:
    """Copies what is in the file *content* (of ours) to the segment."""
    with sysvipc.attached(record.permissions.id, record.size, writable=True) as (_, view), view:
        for start in range(0, record.size, _ROOM):
            with view[start : start + _ROOM] as part:
                done = 0
                while done < len(part):
                    with part[done:] as rest:
                        got = os.preadv(content, [rest], start + done)
                    if not got:
                        raise OSError("the content of a segment is shorter than the segment")
                    done += got


def attach(batch: Batch, record: SegmentRecord, pieces: Sequence[Piece]) -> None:
    """Adds the calls by which a process attaches the segment as it had it; *pieces*: all its mappings of it, sorted."""
    unit = record.page_size or cpu.PAGE_SIZE
    whole = -(-record.size // unit) * unit
    for base in sorted({piece.start - piece.offset for piece in pieces}):
        label = f"{base:x}"
        own = [piece for piece in pieces if piece.start - piece.offset == base]
        writable = any(piece.may_write for piece in own)
        got = mman.PROT_READ | (mman.PROT_WRITE if writable else 0)
        batch.call("shmat", record.permissions.id, base, 0 if writable else ipc.SHM_RDONLY, label=label)
        at = base
        for piece in own:
            if at < piece.start:
                batch.call("munmap", at, piece.start - at, label=label)
            if piece.protection != got:
                batch.call("mprotect", piece.start, piece.end - piece.start, piece.protection, label=label)
            at = piece.end
        if at < base + whole:
            batch.call("munmap", at, base + whole - at, label=label)


