"""What is in the IPC namespaces of a tree that stands still: which objects come along, of which namespace.

An image has all that is in an IPC namespace which the tree has for itself, that of its root or one that it has made,
and some objects of crtool's own namespace if they were asked for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TypeVar

from crtool.engine.freeze import Frozen
from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.snapshot import IpcRecord
from crtool.errors import Obstacle, ObstacleError
from crtool.kernel import sysvipc
from crtool.kernel.file_handle import handle_of
from crtool.procfs import ns as ns_file
from crtool.procfs.maps import Mapping
from crtool.puppet.puppet import Puppet
from crtool.resources.files.collector import Inodes
from crtool.resources.files.openfile import OpenFile
from crtool.resources.ipc import posix, queues, segments, semaphores, settings, survey, undo
from crtool.resources.ipc.queues import QueueRecord
from crtool.resources.ipc.segments import SegmentRecord
from crtool.resources.ipc.semaphores import SetRecord
from crtool.resources.ipc.undo import AdjustmentRecord

__all__ = ["IpcCollector"]

_Record = TypeVar("_Record")


class IpcCollector:
    """All IPC namespaces of the tree."""

    def __init__(self, frozen: Frozen, *, base: int | None, own: bool, wanted: bool) -> None:
        """*base*: inode of the namespace of the root, which the tree has for itself (*own*) or shares with crtool; then
        its objects come along if they are *wanted*.
        """
        self._frozen = frozen
        self._base = base
        self._first = _Room(frozen, frozen.root, 0, own=own, wanted=wanted)
        self._made: dict[int | None, _Room] = {}  # by inode
        self._of: dict[int, _Room] = {}  # by PID
        self._devices: dict[int, _Room] = {}  # by the device of their message queues

    def look(self) -> None:
        """Finds out who lives where."""
        for pid, process in self._frozen.processes.items():
            if process.held is None:
                continue
            inode = ns_file.inode(process.door, "ipc")
            if inode == self._base:
                self._of[pid] = self._first
            else:
                made = self._made.get(inode) or _Room(self._frozen, pid, pid, own=True, wanted=True)
                self._of[pid] = self._made[inode] = made

    def is_wanted(self, pid: int) -> bool:
        """Whether objects that process *pid* has to do with come along."""
        return self._of[pid].wanted

    def add(self, process: FrozenProcess, puppet: Puppet) -> None:
        """Asks a process, held as *puppet*, what it will have undone."""
        self._of[process.pid].add(process, puppet)

    def segment(self, pid: int, mapping: Mapping, fd: int, link: bytes, inodes: Inodes) -> int:
        """The index of the content of a segment that process *pid* has attached; *fd* (ours) and *link* are of it."""
        room = self._of[pid]
        if self._made and not self._is_of(room, mapping.inode, fd):
            where = f"mapping {mapping.start:x}"
            cause = f"has shared memory attached (id {mapping.inode}) of another IPC namespace than it lives in"
            raise ObstacleError([Obstacle(pid, where, cause, "let it detach that first (shmdt)")])
        return room.add_segment(mapping.inode, fd, link, inodes)

    def _is_of(self, room: _Room, number: int, fd: int) -> bool:
        """Whether *fd* is segment *number* of *room*; a handle has a random number in it, huge pages have none."""
        there = room.handle(number)
        if there:
            with suppress(OSError):
                return handle_of(fd) == there
        others = [self._first, *self._made.values()]
        return there is not None and all(other is room or other.handle(number) is None for other in others)

    def member_of(self, file: OpenFile) -> int:
        """The first member of the namespace that message queue *file* is of; 0 for that of the root."""
        if not self._made and not self._first.own:
            return 0
        if not self._devices:
            self._devices = {room.device(): room for room in (self._first, *self._made.values())}
        if (room := self._devices.get(file.stat.st_dev)) is None:
            cause = "a message queue of an IPC namespace in which no process of the tree lives"
            raise ObstacleError([Obstacle(file.pid, f"fd {file.fd}", cause, "let it close that first")])
        room.is_needed = True
        return room.member

    def records(self, inodes: Inodes) -> tuple[IpcRecord | None, tuple[IpcRecord, ...]]:
        """Of the namespace of the root, and of those that the tree has made; of none in which there is nothing."""
        made = [room.record(inodes) for room in self._made.values()]
        return self._first.record(inodes), tuple(record for record in made if record is not None)


class _Room:
    """One namespace, seen through the process *through* in it."""

    def __init__(self, frozen: Frozen, through: int, member: int, *, own: bool, wanted: bool) -> None:
        self._frozen = frozen
        self._through = through
        self.member = member
        self.own = own
        self.wanted = wanted or own
        self.is_needed = False  # a message queue of it is open
        self._adjustments: list[AdjustmentRecord] = []
        self._contents: dict[int, tuple[int, int]] = {}  # of segments, by id: index of the inode, page size
        self._handles: dict[int, bytes | None] = {}  # of segments, by id; empty if it has none
        self._pids: set[int] = set()
        self._users: set[int] = set()

    def _inside(self) -> AbstractContextManager[None]:
        return sysvipc.entered(self._frozen.processes[self._through].door) if self.own else nullcontext()

    def handle(self, number: int) -> bytes | None:
        """Tells segment *number* from those of other namespaces; None if there is none."""
        if number not in self._handles:
            self._handles[number] = None
            with self._inside(), suppress(OSError), segments.opened(number) as (fd, _):
                self._handles[number] = b""
                self._handles[number] = handle_of(fd)
        return self._handles[number]

    def device(self) -> int:
        """The st_dev of its message queues."""
        with self._inside():
            return posix.device()

    def add(self, process: FrozenProcess, puppet: Puppet) -> None:
        """Asks a process, held as *puppet*, what it will have undone."""
        pid, door = process.pid, process.door
        self._pids.add(pid)
        self._users.update((process.status.uid.real, process.status.uid.effective))
        sets: list[SetRecord] = []
        if undo.has_list(door):
            with self._inside():
                for each in survey.listed("sem"):
                    with suppress(OSError):  # removed meanwhile, or of somebody else who lets nobody look at it
                        sets.append(semaphores.dump(each.id))
        if sets:
            self._adjustments.extend(undo.dump(puppet, pid, sets, lambda number: self._has_changed(pid, number)))
        if self._adjustments and not self.wanted:
            raise ObstacleError([survey.adjusted(pid)])

    def _has_changed(self, pid: int, number: int) -> bool:
        """Whether a process was the last to change a semaphore of set *number*."""
        with self._inside(), suppress(OSError):
            return pid in sysvipc.last_users(number)
        return False

    def add_segment(self, number: int, fd: int, link: bytes, inodes: Inodes) -> int:
        """The index of the content of segment *number*; *fd*, of ours, and *link* are of it."""
        index = inodes.index(fd, link, self.member)
        self._contents[number] = (index, os.fstatvfs(fd).f_bsize)
        return index

    def record(self, inodes: Inodes) -> IpcRecord | None:
        """All of it, None if there is nothing."""
        if not self.wanted:
            return None
        with self._inside():
            if self.own and (found := posix.hindrances()):
                raise ObstacleError([Obstacle(self._through, "", why, posix.REMEDY) for why in found])
            sets = tuple(self._objects("sem", lambda number, used: semaphores.dump(number, used=used)))
            there = {record.permissions.id for record in sets}
            record = IpcRecord(
                own=self.own,
                segments=tuple(self._objects("shm", partial(self._segment, inodes))),
                semaphores=sets,
                queues=tuple(self._objects("msg", self._queue)),
                adjustments=tuple(each for each in self._adjustments if each.set in there),
                member=self.member,
                settings=settings.dump() if self.own else (),
                posix=posix.dump() if self.own else (),
            )
        something = record.segments or record.semaphores or record.queues or record.settings or record.posix
        return record if something or self.is_needed or (record.own and not record.member) else None

    def _ids(self, kind: sysvipc.Kind) -> list[tuple[int, bool]]:
        """The objects that come along, and whether the tree uses them."""
        if self.own:
            return [(each.id, True) for each in survey.listed(kind)]
        found = dict(survey.belonging(kind, self._pids, self._users))
        if kind == "shm":
            found.update(dict.fromkeys(self._contents, True))
        elif kind == "sem":
            found.update((each.set, True) for each in self._adjustments)
        return sorted(found.items())

    def _objects(self, kind: sysvipc.Kind, dump: Callable[[int, bool], _Record]) -> Iterator[_Record]:
        """Their records, without those that have been removed just now, and unused ones that crtool may not read."""
        for number, used in self._ids(kind):
            try:
                yield dump(number, used)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.EIDRM):
                    continue
                if error.errno not in (errno.EACCES, errno.EPERM):
                    raise
                if used:
                    raise ObstacleError([survey.unreadable(self._frozen.root, kind, number)]) from None

    def _queue(self, number: int, used: bool) -> QueueRecord:
        return queues.dump(number, self._through, used=used)

    def _segment(self, inodes: Inodes, number: int, used: bool) -> SegmentRecord:
        if number not in self._contents:
            with segments.opened(number) as (fd, link):
                self.add_segment(number, fd, link, inodes)
        return segments.dump(number, *self._contents[number], used=used)
