"""Which open file an entry of an epoll instance means.

An entry holds on to nothing: it goes when the last descriptor of its file is closed. So it shows the number by which
the file was added, and the inode; but the number can have been closed while other descriptors, also of other processes,
lead to the same open file, or belong to another file by now. kcmp(2) with KCMP_EPOLL_TFD tells whether a descriptor
leads to what an entry means. It is asked about the entry's own number first, then about all of the same inode.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from typing import Any

from crtool.errors import Obstacle, ObstacleError
from crtool.kernel.process import is_epoll_target
from crtool.procfs.fdinfo_kinds import EpollTarget
from crtool.procfs.fdinfo_kinds import epoll as entries_of
from crtool.record import dataclass
from crtool.resources.files.epoll import complete, recognise
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.table import TableRecord

__all__ = ["EpollTargets"]


@dataclass(frozen=True)
class _Instance:
    pid: int
    task: int
    fd: int
    key: int
    entries: tuple[EpollTarget, ...]


class EpollTargets:
    """The descriptors of a tree, and the epoll instances among them."""

    def __init__(self) -> None:
        self._inodes: dict[int, tuple[int, int]] = {}
        self._by_inode: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._by_number: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._new: list[tuple[int, int, int]] = []  # what is not in these yet
        self._instances: list[_Instance] = []

    def add(self, file: OpenFile, task: int, key: int | None = None) -> None:
        """Takes note of a descriptor. *task*: a thread that has it; *key*: of its open file, if that is known."""
        number = len(self._inodes) if key is None else key
        self._inodes[number] = (file.stat.st_dev, file.stat.st_ino)
        self.note(task, file.fd, number)
        if recognise(file):
            self._instances.append(_Instance(file.pid, task, file.fd, number, entries_of(file.info)))

    def note(self, task: int, fd: int, key: int, like: int | None = None) -> None:
        """Takes note of one more descriptor of an open file; *like*: of a new one, another with the same inode."""
        if like is not None:
            self._inodes[key] = self._inodes[like]
        self._new.append((task, fd, key))

    def complete(self, descriptions: MutableSequence[Any], tables: Sequence[TableRecord]) -> None:
        """Gives the records of epoll instances among *descriptions* their entries; keys are indices of these.

        Raises ObstacleError.
        """
        if obstacles := self.obstacles():
            raise ObstacleError(obstacles)
        for instance in self._instances:
            entries = [(entry, key) for entry, key in self._entries(instance) if key is not None]
            having = {
                number: table.descriptors
                for number, table in enumerate(tables)
                if any(descriptor.description == instance.key for descriptor in table.descriptors)
            }
            if not having:  # it is in flight within a socket: any table will do
                having = {number: table.descriptors for number, table in enumerate(tables)}
            descriptions[instance.key] = complete(descriptions[instance.key], entries, having)

    def obstacles(self) -> list[Obstacle]:
        """The entries that mean a file which nobody in the tree has open."""
        return [
            Obstacle(
                instance.pid,
                f"fd {instance.fd}",
                f"epoll watches a file by descriptor {entry.fd} which nobody in the tree has open any more",
                "remove it from the epoll instance before closing it",
            )
            for instance in self._instances
            for entry, key in self._entries(instance)
            if key is None
        ]

    def _entries(self, instance: _Instance) -> Iterator[tuple[EpollTarget, int | None]]:
        seen: dict[int, int] = {}
        for entry in instance.entries:
            nth = seen.get(entry.fd, 0)  # of those that were added by the same number
            seen[entry.fd] = nth + 1
            yield entry, self._find(instance, entry, nth)

    def _find(self, instance: _Instance, entry: EpollTarget, nth: int) -> int | None:
        for task, fd, key in self._candidates(instance, entry):
            try:
                if is_epoll_target(task, fd, instance.task, instance.fd, entry.fd, nth):
                    return key
            except OSError:  # closed meanwhile
                continue
        return None

    def _candidates(self, instance: _Instance, entry: EpollTarget) -> Sequence[tuple[int, int, int]]:
        for place in self._new:
            self._by_inode.setdefault(self._inodes[place[2]], []).append(place)
            self._by_number[place[:2]] = place
        self._new.clear()
        likely = self._by_number.get((instance.task, entry.fd))
        if entry.inode is None or entry.device is None:  # before 4.13
            others = [place for places in self._by_inode.values() for place in places]
        else:
            others = self._by_inode.get((entry.device, entry.inode), [])
        return others if likely is None else [likely, *others]
