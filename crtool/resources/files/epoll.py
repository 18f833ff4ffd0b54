"""epoll(7).

The kernel keeps in an epoll instance, for each file that was added, the open file description, the descriptor by which
it was added, the events, and 64 bits of the user; which of them are ready; and how it polls network devices.

We read the entries from /proc/PID/fdinfo. Which open file an entry means cannot be told by its number, which may have
been closed or belong to another file by now, or count in the table of another process: :mod:`.epoll_targets` finds it.

We rebuild the instance by epoll_create1(2), and its entries by epoll_ctl(2), made by a process that has the instance,
when all its descriptors are there. Where a number is free or another file's by now, the file is there for that moment.
What is ready then, is found out by the kernel itself. An entry with EPOLLONESHOT that has fired is made to fire again.

Refused: an entry whose file no process of the tree has open. Lost: an edge-triggered entry that is ready
reports once more; one with EPOLLONESHOT that has fired, of a file that is not ready for anything when it comes back,
reports an error or hangup.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
from collections.abc import Callable, Mapping, Sequence

from crtool.errors import EnvironmentDiffers
from crtool.procfs.fdinfo_kinds import EpollTarget
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.table import DescriptorRecord

__all__ = ["EntryRecord", "EpollRecord", "add_entries", "complete", "dump", "recognise", "restore"]

_LINK = b"anon_inode:[eventpoll]"
_EPOLL_CTL_ADD, _EPOLL_CTL_MOD = 1, 3
_EVENT = struct.Struct("<IQ")  # struct epoll_event is packed on x86-64
_EPIOCSPARAMS, _EPIOCGPARAMS = 0x40088A01, 0x80088A02
_PARAMS = struct.Struct("<IHBx")  # struct epoll_params: microseconds, budget, prefer
_PRIVATE = select.EPOLLONESHOT | select.EPOLLET | select.EPOLLEXCLUSIVE | 1 << 29  # EPOLLWAKEUP
_ANYTHING = 0x20DF  # all EPOLL* events that a file can have


@dataclass(frozen=True)
class EntryRecord:
    """One file that is watched."""

    fd: int  # number by which it was added
    description: int  # index of the file among the image's open file descriptions
    events: int  # EPOLL* bits
    data: int  # 64 bits of the user


@dataclass(frozen=True)
class EpollRecord:
    """An epoll instance."""

    flags: int  # O_* as fcntl(F_GETFL) gives them
    busy_poll: tuple[int, int, int] | None  # struct epoll_params: microseconds, budget, prefer; None: never set
    table: int  # index of a table that has it, and that the numbers of most entries are of
    entries: tuple[EntryRecord, ...]


def recognise(file: OpenFile) -> bool:
    """Whether *file* is an epoll instance."""
    return file.link == _LINK


def dump(file: OpenFile) -> EpollRecord:
    """The record of *file*, without its entries."""
    try:
        params = _PARAMS.unpack(fcntl.ioctl(file.local, _EPIOCGPARAMS, bytes(_PARAMS.size)))
    except OSError:  # before 6.9, or without busy polling
        params = (0, 0, 0)
    return EpollRecord(file.flags, params if any(params) else None, -1, ())


def complete(
    record: EpollRecord,
    entries: Sequence[tuple[EpollTarget, int]],
    tables: Mapping[int, Sequence[DescriptorRecord]],
) -> EpollRecord:
    """The record with its *entries*, each with the index of its description; *tables*: those that have the instance,
    by index.
    """

    def fitting(table: int) -> int:
        own = {descriptor.fd: descriptor.description for descriptor in tables[table]}
        return sum(own.get(entry.fd) == description for entry, description in entries)

    return EpollRecord(
        flags=record.flags,
        busy_poll=record.busy_poll,
        table=max(tables, key=fitting),
        entries=tuple(EntryRecord(entry.fd, target, entry.events, entry.data) for entry, target in entries),
    )


def restore(record: EpollRecord) -> int:
    """A new instance, empty."""
    instance = select.epoll()
    try:
        fd = os.dup(instance.fileno())
    finally:
        instance.close()
    if record.busy_poll is not None:
        try:
            fcntl.ioctl(fd, _EPIOCSPARAMS, _PARAMS.pack(*record.busy_poll))
        except OSError as error:
            os.close(fd)
            cause = f"epoll cannot poll network devices: {error.strerror}"
            raise EnvironmentDiffers(cause, "use a kernel that can, or run crtool with CAP_NET_ADMIN") from None
    return fd


def add_entries(
    puppet: Puppet,
    record: EpollRecord,
    fd: int,
    table: Sequence[DescriptorRecord],
    number: Callable[[int], int],
    base: int,
) -> None:
    """Lets *puppet*, which has the instance as *fd* and its *table* in place, add the entries.

    *number* gives a descriptor, from *base* on, of an open file description that is not in the table.
    """
    fired = [entry for entry in record.entries if _has_fired(entry)]
    batch = Batch()
    for entry in fired:
        _add(batch, fd, entry, entry.events | _ANYTHING, table, number, base)
    if fired:  # before any others can be reported
        reported = batch.buffer(len(fired) * _EVENT.size)
        count = batch.call("epoll_wait", fd, reported, len(fired), 0)
        puppet.run(batch)
        events = _EVENT.iter_unpack(reported.read()[: count.value * _EVENT.size])
        silenced = {data for _, data in events}
        batch = Batch()
        for entry in fired:
            if entry.data not in silenced:
                _add(batch, fd, entry, entry.events, table, number, base, _EPOLL_CTL_MOD)
    for entry in record.entries:
        if not _has_fired(entry):
            _add(batch, fd, entry, entry.events, table, number, base)
    puppet.run(batch)


def _has_fired(entry: EntryRecord) -> bool:
    return bool(entry.events & select.EPOLLONESHOT) and not entry.events & ~_PRIVATE


def _add(
    batch: Batch,
    fd: int,
    entry: EntryRecord,
    events: int,
    table: Sequence[DescriptorRecord],
    number: Callable[[int], int],
    base: int,
    operation: int = _EPOLL_CTL_ADD,
) -> None:
    event = _EVENT.pack(events, entry.data)
    label = f"epoll entry {entry.fd}"
    there = next((descriptor for descriptor in table if descriptor.fd == entry.fd), None)
    if there is not None and there.description == entry.description:
        batch.call("epoll_ctl", fd, operation, entry.fd, event, label=label)
        return
    kept = None if there is None else batch.call("fcntl", entry.fd, fcntl.F_DUPFD_CLOEXEC, base)
    batch.call("dup3", number(entry.description), entry.fd, 0, label=label)
    batch.call("epoll_ctl", fd, operation, entry.fd, event, label=label)
    if there is None or kept is None:
        batch.call("close", entry.fd)
    else:
        batch.call("dup3", kept, entry.fd, os.O_CLOEXEC if there.cloexec else 0)
        batch.call("close", kept)
