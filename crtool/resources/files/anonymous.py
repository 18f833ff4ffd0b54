"""The table of contents of open files that are neither plain files nor ends of anything: one line for each kind.

A kind is a module with ``recognise``, ``dump`` and ``restore``; where some files of the kind cannot be saved, with
``obstacle``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from crtool.errors import Obstacle
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass, replace
from crtool.resources.files import (
    bpf_map,
    epoll,
    eventfd,
    fanotify,
    inotify,
    mqueue,
    pidfd,
    procfs,
    signalfd,
    timerfd,
    tty_device,
    tun,
    uring,
    userfaultfd,
)
from crtool.resources.files.bpf_map import BpfMapRecord
from crtool.resources.files.epoll import EpollRecord
from crtool.resources.files.eventfd import EventfdRecord
from crtool.resources.files.fanotify import FanotifyRecord
from crtool.resources.files.inotify import InotifyRecord
from crtool.resources.files.mqueue import MqueueRecord
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.pidfd import PidfdRecord
from crtool.resources.files.procfs import ProcfsRecord
from crtool.resources.files.signalfd import SignalfdRecord
from crtool.resources.files.timerfd import TimerfdRecord
from crtool.resources.files.tty_device import TtyDeviceRecord
from crtool.resources.files.tun import TunRecord
from crtool.resources.files.uring import UringRecord
from crtool.resources.files.userfaultfd import UserfaultfdRecord
from crtool.resources.files.watches import Watches

__all__ = [
    "AnonymousRecord",
    "Around",
    "Born",
    "Kind",
    "dump",
    "is_late",
    "kind_of",
    "renumbered",
    "restore",
    "restore_late",
]

AnonymousRecord = (
    EventfdRecord
    | EpollRecord
    | SignalfdRecord
    | TimerfdRecord
    | InotifyRecord
    | FanotifyRecord
    | PidfdRecord
    | ProcfsRecord
    | MqueueRecord
    | BpfMapRecord
    | TunRecord
    | TtyDeviceRecord
    | UringRecord
    | UserfaultfdRecord
)


@dataclass(frozen=True)
class Around:
    """What a dump asks about the rest of the image."""

    inode: Callable[[OpenFile], int]  # the index of what a descriptor of ours refers to
    lost: Callable[[OpenFile, str], None]  # to be told what of a file does not come back
    member: Callable[[OpenFile], int]  # as of kinds.Shared
    watches: Watches  # what is given out by userfaultfds


@dataclass(frozen=True)
class Born:
    """What a restore asks about processes and files that are there."""

    puppet: Callable[[int], Puppet]  # by PID
    task: Callable[[int], int | None]  # the number here of a process or thread of the image
    path: Callable[[int], bytes]  # of an inode, to be opened
    queues: dict[tuple[int, int], int]  # member and inode of a message queue → a descriptor here, made already
    maps: dict[int, int]  # number of a BPF map → the number that it has now
    inside: Callable[[int], AbstractContextManager[None]]  # crtool, in the IPC namespace with that first member, or 0


@dataclass(frozen=True)
class Kind:
    """One kind. Some can be made at once; others, which refer to processes or are made by them, when all are born."""

    recognise: Callable[[OpenFile], bool]
    record: type
    dump: Callable[[OpenFile, Around], Any]
    restore: Callable[[Any], int] | None = None  # a new descriptor in this process
    restore_late: Callable[[Any, Born], int] | None = None  # the same, also if it is made by a puppet
    obstacle: Callable[[OpenFile, str], Obstacle | None] = lambda _file, _where: None


def _open_queue(record: MqueueRecord, born: Born) -> int:
    with born.inside(record.member):
        fd = mqueue.restore(record, born.queues.get((record.member, record.inode), -1))
    born.queues.setdefault((record.member, record.inode), fd)
    return fd


def _open_map(record: BpfMapRecord, born: Born) -> int:
    fd, number = bpf_map.restore(record, born.maps.get(record.number, 0))
    born.maps[record.number] = number
    return fd


def _of_paths(
    recognise: Callable[[OpenFile], bool],
    record: type,
    dump: Callable[[OpenFile, Callable[[OpenFile], int], Callable[[OpenFile, str], None]], Any],
    restore: Callable[[Any, Callable[[int], bytes]], int],
    obstacle: Callable[[OpenFile, str], Obstacle | None],
) -> Kind:
    """A kind that watches files, which it knows by their inodes."""
    return Kind(
        recognise,
        record,
        lambda file, around: dump(file, around.inode, around.lost),
        restore_late=lambda record, born: restore(record, born.path),
        obstacle=obstacle,
    )


def _of_task(
    recognise: Callable[[OpenFile], bool],
    record: type,
    dump: Callable[[OpenFile], Any],
    restore: Callable[[Any, Callable[[int], int | None]], int],
    obstacle: Callable[[OpenFile, str], Obstacle | None],
) -> Kind:
    """A kind that is about a process or a thread."""
    return Kind(
        recognise,
        record,
        lambda file, _: dump(file),
        restore_late=lambda record, born: restore(record, born.task),
        obstacle=obstacle,
    )


_KINDS = (
    Kind(eventfd.recognise, EventfdRecord, lambda file, _: eventfd.dump(file), eventfd.restore),
    Kind(epoll.recognise, EpollRecord, lambda file, _: epoll.dump(file), epoll.restore),
    Kind(signalfd.recognise, SignalfdRecord, lambda file, _: signalfd.dump(file), signalfd.restore),
    Kind(timerfd.recognise, TimerfdRecord, lambda file, around: timerfd.dump(file, around.lost), timerfd.restore),
    _of_paths(inotify.recognise, InotifyRecord, inotify.dump, inotify.restore, inotify.obstacle),
    _of_paths(fanotify.recognise, FanotifyRecord, fanotify.dump, fanotify.restore, fanotify.obstacle),
    _of_task(pidfd.recognise, PidfdRecord, pidfd.dump, pidfd.restore, pidfd.obstacle),
    _of_task(procfs.recognise, ProcfsRecord, procfs.dump, procfs.restore, procfs.obstacle),
    Kind(
        mqueue.recognise,
        MqueueRecord,
        lambda file, around: mqueue.dump(file, around.member(file)),
        restore_late=_open_queue,
        obstacle=mqueue.obstacle,
    ),
    Kind(
        bpf_map.recognise,
        BpfMapRecord,
        lambda file, _: bpf_map.dump(file),
        restore_late=_open_map,
        obstacle=bpf_map.obstacle,
    ),
    Kind(
        tty_device.recognise,
        TtyDeviceRecord,
        lambda file, around: tty_device.dump(file, around.lost),
        tty_device.restore,
        obstacle=tty_device.obstacle,
    ),
    Kind(
        tun.recognise,
        TunRecord,
        lambda file, around: tun.dump(file, around.lost),
        tun.restore,
        obstacle=tun.obstacle,
    ),
    Kind(
        uring.recognise,
        UringRecord,
        lambda file, around: uring.dump(file, around.inode(file)),
        uring.restore,
        obstacle=uring.obstacle,
    ),
    Kind(
        userfaultfd.recognise,
        UserfaultfdRecord,
        lambda file, around: around.watches.dump(file),
        restore_late=lambda record, born: userfaultfd.restore(record, born.puppet(record.owner)),
        obstacle=userfaultfd.obstacle,
    ),
)
_ENDS = (b"socket:[", b"pipe:[")  # of which a program may have many: not to be asked about one kind after the other
_WITH_PATH = tuple(kind for kind in _KINDS if kind.record in (ProcfsRecord, MqueueRecord, TunRecord, TtyDeviceRecord))
_BY_RECORD = {kind.record: kind for kind in _KINDS}


def kind_of(file: OpenFile) -> Kind | None:
    """The kind that *file* is of, None if it is none of these."""
    if file.link.startswith(_ENDS):
        return None
    for kind in _WITH_PATH if file.link.startswith(b"/") else _KINDS:
        if kind.recognise(file):
            return kind
    return None


def dump(file: OpenFile, kind: Kind, around: Around) -> AnonymousRecord:
    """The record of *file*, which is of *kind*."""
    record: AnonymousRecord = kind.dump(file, around)
    return record


def restore(record: AnonymousRecord) -> int:
    """A new descriptor, in this process, like the recorded one."""
    make = _BY_RECORD[type(record)].restore
    assert make is not None
    return make(record)


def is_late(record: object) -> bool:
    """Whether it can be made only when all processes and threads are born: by :func:`restore_late`."""
    kind = _BY_RECORD.get(type(record))
    return kind is not None and kind.restore is None


def restore_late(record: object, born: Born) -> int:
    """A new descriptor, in this process, like the recorded one. What only the process itself can make is made by its
    puppet and taken from there.
    """
    make = _BY_RECORD[type(record)].restore_late
    assert make is not None
    return make(record, born)


def renumbered(record: Any, other: Callable[[int], int]) -> Any:
    """The record with *other* numbers of processes; what is outside the tree keeps its own."""
    if isinstance(record, PidfdRecord | ProcfsRecord):
        record = replace(record, pid=other(record.pid) or record.pid)
    if isinstance(record, ProcfsRecord):
        record = replace(record, tid=other(record.tid) or record.tid)
    if isinstance(record, MqueueRecord) and record.member:
        record = replace(record, member=other(record.member))
    if isinstance(record, UserfaultfdRecord):
        record = replace(record, owner=other(record.owner))
    if isinstance(record, UringRecord):
        record = uring.renumbered(record, other)
    return record
