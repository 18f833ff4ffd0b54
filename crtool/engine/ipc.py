"""System V IPC of a tree: which objects come along, in which namespace they are made again, and when.

An image has all objects of an IPC namespace that the tree has for itself, or some of crtool's own namespace if they
were asked for. A restart makes them where crtool is, unless the tree had a namespace for itself, or gets a PID
namespace, which is for copies: then it has one of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from typing import TypeVar

from crtool.engine.freeze import Frozen, FrozenProcess
from crtool.engine.snapshot import IpcRecord, Snapshot
from crtool.errors import EnvironmentDiffers, ObstacleError
from crtool.kernel import sysvipc
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.resources.files.collector import Inodes
from crtool.resources.ipc import queues, segments, semaphores, survey, undo
from crtool.resources.ipc.queues import QueueRecord
from crtool.resources.ipc.segments import Piece, SegmentRecord
from crtool.resources.ipc.semaphores import SetRecord
from crtool.resources.ipc.undo import AdjustmentRecord
from crtool.resources.memory.mappings import MappingRecord

__all__ = ["IpcCollector", "IpcObjects", "judge_objects", "judge_rights"]

_Record = TypeVar("_Record")


class IpcCollector:
    """Collects them while the tree stands still. Without *wanted* there are none."""

    def __init__(self, frozen: Frozen, *, own: bool, wanted: bool) -> None:
        """*own*: the tree has an IPC namespace for itself, that of its root."""
        self._frozen = frozen
        self._own = own
        self.wanted = wanted or own
        self._adjustments: list[AdjustmentRecord] = []
        self._contents: dict[int, tuple[int, int]] = {}  # of segments, by id: index of the inode, page size
        self._pids: set[int] = set()
        self._users: set[int] = set()

    def _inside(self) -> AbstractContextManager[None]:
        return sysvipc.entered(self._frozen.processes[self._frozen.root].door) if self._own else nullcontext()

    def add(self, process: FrozenProcess, puppet: Puppet) -> None:
        """Asks a process, held as *puppet*, what it will have undone."""
        pid, door = process.pid, process.door
        self._pids.add(pid)
        self._users.update((process.status.uid.real, process.status.uid.effective))
        if not self.wanted:
            return
        sets: list[SetRecord] = []
        if undo.has_list(door):
            with self._inside():
                for each in survey.listed("sem"):
                    with suppress(OSError):  # removed meanwhile, or of somebody else who lets nobody look at it
                        sets.append(semaphores.dump(each.id))
        if sets:
            self._adjustments.extend(undo.dump(puppet, pid, sets, lambda number: self._has_changed(pid, number)))

    def _has_changed(self, pid: int, number: int) -> bool:
        """Whether a process was the last to change a semaphore of set *number*."""
        with self._inside(), suppress(OSError):
            return pid in sysvipc.last_users(number)
        return False

    def add_segment(self, number: int, inode: int, fd: int) -> None:
        """Segment *number* is attached somewhere; its content is *inode* of the image, and *fd* of ours."""
        self._contents[number] = (inode, os.fstatvfs(fd).f_bsize)

    def record(self, inodes: Inodes) -> IpcRecord | None:
        """All of it, None if there is nothing."""
        if not self.wanted:
            return None
        with self._inside():
            sets = tuple(self._objects("sem", lambda number, used: semaphores.dump(number, used=used)))
            there = {record.permissions.id for record in sets}
            found = IpcRecord(
                own=self._own,
                segments=tuple(self._objects("shm", partial(self._segment, inodes))),
                semaphores=sets,
                queues=tuple(self._objects("msg", lambda number, used: queues.dump(number, used=used))),
                adjustments=tuple(record for record in self._adjustments if record.set in there),
            )
        return found if found.own or found.segments or found.semaphores or found.queues else None

    def _ids(self, kind: sysvipc.Kind) -> list[tuple[int, bool]]:
        """The objects that come along, and whether the tree uses them."""
        if self._own:
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

    def _segment(self, inodes: Inodes, number: int, used: bool) -> SegmentRecord:
        if number not in self._contents:
            with segments.opened(number) as (fd, link):
                self.add_segment(number, inodes.index(fd, link), fd)
        return segments.dump(number, *self._contents[number], used=used)


def judge_rights(snapshot: Snapshot, *, user: bool) -> None:
    """In a user namespace (*user*) crtool cannot make objects for the tree."""
    if user and _objects_of(snapshot.ipc):
        raise EnvironmentDiffers("System V IPC objects can only be made anew by root", "run crtool as root")


def judge_objects(record: IpcRecord | None, *, own: bool, warn: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """What a restart would make, and which of those that are there it would change: kinds and ids.

    *own*: it would be in a namespace of the tree's own. EnvironmentDiffers for what would stand in the way, a call of
    *warn* if the tree does not use it.
    """
    made: list[str] = []
    changed: list[str] = []
    if record is None:
        return made, changed
    found: list[tuple[str, SegmentRecord | SetRecord | QueueRecord, Callable[[], bool]]] = []
    found += [("shared memory", each, partial(segments.is_there, each)) for each in record.segments]
    found += [("semaphores", each, partial(semaphores.is_there, each)) for each in record.semaphores]
    found += [("message queue", each, partial(queues.is_there, each)) for each in record.queues]
    for kind, each, is_there in found:
        try:
            if own or not is_there():
                made.append(f"{kind} {each.permissions.id}")
            elif each.used:
                changed.append(f"{kind} {each.permissions.id}")
        except EnvironmentDiffers as error:
            if each.used:
                raise
            warn(error.message)
    return made, changed


def _objects_of(record: IpcRecord | None) -> bool:
    return record is not None and bool(record.segments or record.semaphores or record.queues)


@contextmanager
def _entered(pid: int) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(sysvipc.entered(pid))
        except PermissionError:
            raise EnvironmentDiffers("only root may make objects in an IPC namespace", "run crtool as root") from None
        yield


class IpcObjects:
    """The objects of a restart under way."""

    def __init__(self, record: IpcRecord | None, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._record = record
        self._segments: dict[int, SegmentRecord] = {}  # by the index of their content
        self._back = ExitStack()  # what is to be done after a failure
        self._held = ExitStack()  # attachments of ours to what goes when nobody has it attached
        self._own = False
        self._new: list[SegmentRecord] = []
        # Those that were there and that the tree uses: they are changed at last.
        self._old_segments: list[SegmentRecord] = []
        self._old_sets: dict[int, SetRecord] = {}  # by id
        self._old_queues: list[QueueRecord] = []
        self._inside: Callable[[], AbstractContextManager[None]] = nullcontext
        if record is not None:
            self._segments = {segment.inode: segment for segment in record.segments}

    def __contains__(self, inode: int) -> bool:
        """Whether that inode of the image is the content of a segment."""
        return inode in self._segments

    def inside(self) -> AbstractContextManager[None]:
        """crtool, in the IPC namespace of the tree."""
        return self._inside()

    def make(self, root: int, *, own: bool) -> None:
        """Makes those that are not there, in the namespace of process *root* if that is *own*; judges the others."""
        self._own = own
        if own:
            self._inside = lambda: _entered(root)
        if not _objects_of(self._record):
            return
        assert self._record is not None
        with self._inside():
            for segment in self._record.segments:
                with self._forgiven(segment.used):
                    self._make_segment(segment)
            for each in self._record.semaphores:
                with self._forgiven(each.used):
                    if semaphores.restore(each):
                        self._later(partial(sysvipc.remove, "sem", each.permissions.id))
                    elif each.used:
                        self._old_sets[each.permissions.id] = each
            for queue in self._record.queues:
                with self._forgiven(queue.used):
                    if queues.restore(queue):
                        self._later(partial(sysvipc.remove, "msg", queue.permissions.id))
                    elif queue.used:
                        self._old_queues.append(queue)

    def _later(self, call: Callable[[], None]) -> None:
        """Has *call* made after a failure; what it cannot do then is not to hide why the restart has failed."""

        def attempt() -> None:
            with suppress(OSError):
                call()

        self._back.callback(attempt)

    @contextmanager
    def _forgiven(self, used: bool) -> Iterator[None]:
        """What stands in the way of an object that is not *used* by the tree is a warning."""
        try:
            yield
        except EnvironmentDiffers as error:
            if used:
                raise
            self._warn(error.message)

    def _make_segment(self, segment: SegmentRecord) -> None:
        number = segment.permissions.id
        if not segments.restore(segment):
            if segment.used:
                self._old_segments.append(segment)
            return
        self._new.append(segment)
        with sysvipc.removed_after_failure("shm", number):
            if segment.removed:
                self._held.enter_context(sysvipc.attached(number, segment.size, writable=True))
                sysvipc.remove("shm", number)
            else:
                self._later(partial(sysvipc.remove, "shm", number))

    def attach(self, batch: Batch, mappings: Sequence[MappingRecord]) -> None:
        """Adds the calls by which a process attaches the segments among its *mappings*."""
        for inode, segment in self._segments.items():
            pieces = [
                Piece(mapping.start, mapping.end, mapping.offset, mapping.protection, mapping.may_write)
                for mapping in mappings
                if mapping.inode == inode
            ]
            if pieces:
                segments.attach(batch, segment, pieces)

    def adjust(self, puppets: Mapping[int, Puppet]) -> None:
        """Gives the processes what they will have undone; the values are then what they were before."""
        if self._record is None or not self._record.adjustments:
            return
        levels = {each.permissions.id: each.levels for each in self._record.semaphores}
        with self._inside():
            for number in {record.set for record in self._record.adjustments} & self._old_sets.keys():
                each = self._old_sets[number]
                levels[number] = sysvipc.values(number, len(each.levels))
                self._later(semaphores.put_back(each))  # should the processes end, it is undone to this set
        for record in self._record.adjustments:
            batch = Batch()
            undo.restore(batch, record, levels[record.set][record.number])
            puppets[record.pid].run(batch)

    def settle(self, content: Callable[[int], int]) -> None:
        """Fills the segments, from the descriptors that *content* has for their inodes, and gives back to what was
        there what it held. What cannot be put back, the content of a segment, is changed last.
        """
        if not _objects_of(self._record):
            return
        with self._inside():
            for segment in self._new:
                segments.fill(segment, content(segment.inode))
            for each in self._old_sets.values():
                self._later(semaphores.put_back(each))
                semaphores.update(each)
            for queue in self._old_queues:
                self._later(queues.update(queue))
            for segment in self._old_segments:
                segments.fill(segment, content(segment.inode))

    def keep(self) -> None:
        """When nothing can fail any more: all of it stays."""
        self._back.pop_all()
        self._held.close()

    def abandon(self) -> None:
        """After a failure, when the processes have been killed: removes what was made, and puts back what was there."""
        if self._own:
            self._back.pop_all()  # all of it ends with the namespace
        self._back.close()
        self._held.close()
