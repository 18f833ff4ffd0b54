"""Which userfaultfd of a tree watches which mappings of it.

A userfaultfd belongs to the address space of the process that has made it, whoever has it open: a fork, a message or
UFFD_EVENT_FORK gives it to others. The kernel is asked by :mod:`crtool.kernel.userfault`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from crtool.errors import Obstacle, ObstacleError
from crtool.kernel import userfault
from crtool.kernel.userfault import Context
from crtool.procfs import smaps as smaps_file
from crtool.procfs.read import read
from crtool.procfs.smaps import Smap
from crtool.resources.files import userfaultfd
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.userfaultfd import UserfaultfdRecord

__all__ = ["Watchers", "Watches"]


class Watchers:
    """The userfaultfds of a tree that runs."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[int, int, int]] = {}  # by address: PID, descriptor, whose memory

    def add(self, file: OpenFile) -> None:
        """Takes note of one; anything else is passed over. OSError if the kernel does not tell of it."""
        if userfaultfd.recognise(file):
            context = userfault.context(file.local)
            self._found[context.address] = (file.pid, file.fd, context.memory)

    @property
    def contexts(self) -> frozenset[int]:
        """By which the mappings know them."""
        return frozenset(self._found)

    def obstacles(self, doors: Mapping[int, int]) -> Iterator[Obstacle]:
        """Those that watch nobody of the tree. *doors*: a living thread of each process, by PID."""
        if not self._found:
            return
        memories = {userfault.memory_of(door) for door in doors.values()}
        for pid, fd, memory in self._found.values():
            if memory not in memories:
                yield userfaultfd.stranger(pid, fd)


class Watches:
    """What is watched in a tree that stands still."""

    def __init__(self, doors: Callable[[], Iterable[tuple[int, int]]]) -> None:
        """*doors*: PIDs of all that live, each with the thread through which it is looked at."""
        self._doors = doors
        self._owners: dict[int, tuple[int, int]] | None = None
        self._smaps: dict[int, dict[int, Smap]] = {}  # by PID and start

    def dump(self, file: OpenFile) -> UserfaultfdRecord:
        """The record of a userfaultfd."""
        try:
            context = userfault.context(file.local)
            if (owner := self._owner(context)) is None:
                raise ObstacleError([userfaultfd.stranger(file.pid, file.fd)])
            pid, door = owner
            return userfaultfd.dump(file, context, pid, door, self._areas(context, door))
        except OSError as error:
            cause = f"a userfaultfd cannot be read: {error.strerror}"
            raise ObstacleError([Obstacle(file.pid, f"fd {file.fd}", cause, "close it first")]) from None

    def _owner(self, context: Context) -> tuple[int, int] | None:
        """Whose memory *context* watches: the first process that has it, with its door."""
        if self._owners is None:
            self._owners = {}
            for pid, door in self._doors():
                self._owners.setdefault(userfault.memory_of(door), (pid, door))
        return self._owners.get(context.memory)

    def _areas(self, context: Context, door: int) -> list[Smap]:
        """The mappings that *context* watches, in the memory of *door*."""
        starts = [area.start for area in userfault.areas(door) if area.context == context.address]
        if starts and door not in self._smaps:
            self._smaps[door] = {entry.mapping.start: entry for entry in smaps_file.parse(read(door, "smaps"))}
        return [self._smaps[door][start] for start in starts]
