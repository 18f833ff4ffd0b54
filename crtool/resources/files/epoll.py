"""epoll(7).

The kernel keeps in an epoll instance, for each file that was added, the descriptor by which it was added, the events,
and 64 bits of the user; and which of them are ready.

We read the entries from /proc/PID/fdinfo.

We rebuild the instance by epoll_create1(2), and its entries by epoll_ctl(2), made by the process in whose table we
found them, when all its descriptors are there. What is ready then, is found out by the kernel itself.

Refused: an entry whose descriptor has been closed or is another file by now, while the file lives on elsewhere. Lost:
an edge-triggered entry that is ready reports once more.
"""

from __future__ import annotations

import os
import select
import struct

from crtool.errors import Obstacle
from crtool.procfs.fdinfo_kinds import epoll as entries_of
from crtool.puppet.batch import Batch
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["EntryRecord", "EpollRecord", "add_entries", "dump", "obstacle", "recognise", "restore"]

_LINK = b"anon_inode:[eventpoll]"
_EPOLL_CTL_ADD = 1
_EVENT = struct.Struct("<IQ")  # struct epoll_event is packed on x86-64


@dataclass(frozen=True)
class EntryRecord:
    """One file that is watched."""

    fd: int
    events: int  # EPOLL* bits
    data: int  # 64 bits of the user


@dataclass(frozen=True)
class EpollRecord:
    """An epoll instance."""

    flags: int  # O_* as fcntl(F_GETFL) gives them
    owner: int  # PID of the process in whose table the entries' descriptors are
    entries: tuple[EntryRecord, ...]


def recognise(file: OpenFile) -> bool:
    """Whether *file* is an epoll instance."""
    return file.link == _LINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the instance cannot be saved, if so."""
    for entry in entries_of(file.info):
        try:
            there = os.stat(f"/proc/{file.pid}/fd/{entry.fd}")
        except OSError:
            there = None
        if there is None or (entry.inode is not None and there.st_ino != entry.inode):
            return Obstacle(
                file.pid,
                where,
                f"epoll watches a file by descriptor {entry.fd}, which is closed or another file by now",
                "remove it from the epoll instance before closing it",
            )
    return None


def dump(file: OpenFile) -> EpollRecord:
    """The record of *file*."""
    entries = tuple(EntryRecord(entry.fd, entry.events, entry.data) for entry in entries_of(file.info))
    return EpollRecord(file.flags, file.pid, entries)


def restore(record: EpollRecord) -> int:
    """A new instance, empty."""
    instance = select.epoll()
    try:
        return os.dup(instance.fileno())
    finally:
        instance.close()


def add_entries(batch: Batch, record: EpollRecord, fd: int) -> None:
    """Adds the calls that add the entries; *fd* is the instance in the process that owns their descriptors."""
    for entry in record.entries:
        event = _EVENT.pack(entry.events, entry.data)
        batch.call("epoll_ctl", fd, _EPOLL_CTL_ADD, entry.fd, event, label=f"epoll entry {entry.fd}")
