"""What was in the IPC namespaces of a tree, at a restart: where it is made again, and when.

What was in a namespace that the tree has made comes into that. Other objects are made where crtool is, unless the tree
had a namespace for itself, or gets a PID namespace, which is for copies: then it has one of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial

from crtool.engine.snapshot import IpcRecord, Snapshot
from crtool.errors import EnvironmentDiffers
from crtool.kernel import sysvipc
from crtool.kernel.sweeper import Sweeper
from crtool.kernel.sysvipc import Kind
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.resources.files import inodes
from crtool.resources.ipc import posix, queues, segments, semaphores, settings, undo
from crtool.resources.ipc.queues import QueueRecord
from crtool.resources.ipc.segments import Piece, SegmentRecord
from crtool.resources.ipc.semaphores import SetRecord
from crtool.resources.memory.mappings import MappingRecord

__all__ = ["IpcObjects", "IpcSpaces", "judge_objects", "judge_rights"]


def judge_rights(snapshot: Snapshot, *, user: bool) -> None:
    """In a user namespace (*user*) crtool cannot make objects for the tree."""
    if user and any(map(_objects_of, snapshot.ipcs)):
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
    made += [f"POSIX message queue /{each.name.decode(errors='replace')}" for each in record.posix]
    return made, changed


def _objects_of(record: IpcRecord | None) -> bool:
    if record is None:
        return False
    return bool(record.segments or record.semaphores or record.queues or record.settings or record.posix)


@contextmanager
def _entered(pid: int) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(sysvipc.entered(pid))
        except PermissionError:
            raise EnvironmentDiffers("only root may make objects in an IPC namespace", "run crtool as root") from None
        yield


class IpcObjects:
    """The objects of one namespace of a restart under way."""

    def __init__(self, record: IpcRecord | None, warn: Callable[[str], None], sweeper: Sweeper) -> None:
        self._warn = warn
        self._sweeper = sweeper
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
            settings.raise_limits(self._record.settings)
            for named in self._record.posix:
                posix.restore(named)
            for segment in self._record.segments:
                with self._forgiven(segment.used):
                    self._make_segment(segment)
            for each in self._record.semaphores:
                with self._forgiven(each.used):
                    if self._restored("sem", each.permissions.id, partial(semaphores.restore, each)):
                        self._later(partial(sysvipc.remove, "sem", each.permissions.id))
                    elif each.used:
                        self._old_sets[each.permissions.id] = each
            for queue in self._record.queues:
                with self._forgiven(queue.used):
                    if self._restored("msg", queue.permissions.id, partial(queues.restore, queue)):
                        self._later(partial(sysvipc.remove, "msg", queue.permissions.id))
                    elif queue.used:
                        self._old_queues.append(queue)

    def _restored(self, kind: Kind, number: int, restore: Callable[[], bool]) -> bool:
        """Whether *restore* has made the object, which then has to go if crtool is killed."""
        if self._own:
            return restore()  # all of it ends with the namespace
        try:
            sysvipc.stat(kind, number)
        except OSError:
            pass
        else:
            return restore()  # it is there already, and not ours to be taken away
        self._sweeper.announce(kind, number)
        try:
            if restore():
                return True
        except BaseException:
            self._sweeper.spare(kind, number)
            raise
        self._sweeper.spare(kind, number)
        return False

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
        if not self._restored("shm", number, partial(segments.restore, segment)):
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

    def settle(self, contents: Mapping[int, int]) -> None:
        """Fills the new segments, from descriptors (O_PATH) of their *contents* by inode, and gives back to what was
        there what it held; all but what could not be put back, which :meth:`overwrite` changes.
        """
        if not _objects_of(self._record):
            return
        assert self._record is not None
        with self._inside():
            for segment in self._new:
                _fill(segment, contents)
            for each in self._old_sets.values():
                self._later(semaphores.put_back(each))
                semaphores.update(each)
            for queue in self._old_queues:
                self._later(queues.update(queue))
            settings.restore(self._record.settings)

    def overwrite(self, contents: Mapping[int, int]) -> None:
        """Fills segments that were there, of which nobody keeps what was in them."""
        if not self._old_segments:
            return
        with self._inside():
            for segment in self._old_segments:
                _fill(segment, contents)

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


def _fill(segment: SegmentRecord, contents: Mapping[int, int]) -> None:
    fd = inodes.reopen(contents[segment.inode], os.O_RDONLY)
    try:
        segments.fill(segment, fd)
    finally:
        os.close(fd)


class IpcSpaces:
    """All of them: that of the root of the tree, and those that it has made."""

    def __init__(self, snapshot: Snapshot, warn: Callable[[str], None], sweeper: Sweeper) -> None:
        self._first = IpcObjects(snapshot.ipc, warn, sweeper)
        self._made = {record.member: IpcObjects(record, warn, sweeper) for record in snapshot.ipc_below}  # by member

    def _all(self) -> Iterable[IpcObjects]:
        return (self._first, *self._made.values())

    def __contains__(self, inode: int) -> bool:
        """Whether that inode of the image is the content of a segment."""
        return any(inode in each for each in self._all())

    def inside(self, member: int = 0) -> AbstractContextManager[None]:
        """crtool, in the IPC namespace whose first member is *member*; 0: that of the root."""
        return self._made[member].inside() if member else self._first.inside()

    def make(self, root: int, *, own: bool) -> None:
        """Fills the namespace of process *root*; see :meth:`IpcObjects.make`."""
        self._first.make(root, own=own)

    def make_below(self, puppets: Mapping[int, Puppet]) -> None:
        """Fills those that the tree has made, when they are there."""
        for member, each in self._made.items():
            each.make(puppets[member].pid, own=True)

    def attach(self, batch: Batch, mappings: Sequence[MappingRecord]) -> None:
        """Adds the calls by which a process attaches the segments among its *mappings*."""
        for each in self._all():
            each.attach(batch, mappings)

    def adjust(self, puppets: Mapping[int, Puppet]) -> None:
        """Gives the processes what they will have undone."""
        for each in self._all():
            each.adjust(puppets)

    def settle(self, contents: Mapping[int, int]) -> None:
        """Gives everything its content, but for segments that were there."""
        for each in (*self._made.values(), self._first):
            each.settle(contents)

    def overwrite(self, contents: Mapping[int, int]) -> None:
        """Gives those theirs, which cannot be undone."""
        self._first.overwrite(contents)

    def keep(self) -> None:
        """When nothing can fail any more: all of it stays."""
        for each in self._all():
            each.keep()

    def abandon(self) -> None:
        """After a failure, when the processes have been killed."""
        for each in self._all():
            each.abandon()
