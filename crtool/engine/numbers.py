"""The numbers of processes: as crtool sees them, as the image has them, and as each process sees the others.

The image counts PID namespaces from the *ground*, the one in which the tree has grown: that in which crtool is, or that
of the root (:mod:`crtool.engine.lodging`). Numbers of the image are
those in the ground, 0 for what has none there; a whole vector begins with them. (While a tree is collected they still
are those that crtool sees: :mod:`crtool.engine.renumber`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from crtool.engine.snapshot import AbsentRecord, Snapshot
from crtool.errors import Obstacle, ObstacleError
from crtool.procfs import ns as ns_file
from crtool.procfs.stat import Stat
from crtool.procfs.status import Status

__all__ = ["NEW_NAMESPACE", "FrozenNumbers", "Known", "Numbers"]

NEW_NAMESPACE = -1
"""The PID namespace for the children of a process that has called unshare(2) and has not borne anybody since."""


class Known(Protocol):
    """What is known of a process whose numbers are asked for."""

    @property
    def stat(self) -> Stat:
        """/proc/PID/stat."""

    @property
    def status(self) -> Status:
        """/proc/PID/status."""


class FrozenNumbers:
    """Of a frozen tree; all are those that crtool sees."""

    def __init__(self, processes: Mapping[int, Known], depth: int) -> None:
        """*depth*: how many levels of PID namespaces the ground is below crtool's."""
        self._processes = processes
        self._depth = depth
        self._first: dict[int, int] = {}  # inode of a nested namespace → its first process
        self._inodes: dict[int, int] = {}  # PID → inode of its namespace, if that is nested

    def look(self) -> None:
        """To be called once everybody is frozen."""
        for pid, process in self._processes.items():
            if len(process.status.ns_pid) > self._depth + 1:
                self._inodes[pid] = inode = ns_file.pid_namespace(pid)
                if process.status.ns_pid[-1] == 1:
                    self._first[inode] = pid

    def namespace(self, pid: int) -> int:
        """The first process of the namespace of *pid*; 0 = the ground."""
        if pid not in self._inodes:
            return 0
        try:
            return self._first[self._inodes[pid]]
        except KeyError:
            raise ObstacleError([not_in_tree(pid)]) from None

    def for_children(self, pid: int, tid: int) -> int:
        """The namespace into which a thread of *pid* bears children, as :meth:`namespace` or NEW_NAMESPACE."""
        own, children = ns_file.pid_namespaces(pid, tid)
        if own == children:
            return self.namespace(pid)
        if children is None:
            return NEW_NAMESPACE
        if children not in self._first:
            raise ObstacleError([no_children(pid)])
        return self._first[children]

    def absent(self) -> tuple[AbsentRecord, ...]:
        """Leaders that are not in the tree, with all that members in nested namespaces know of their numbers."""
        longest: dict[int, AbsentRecord] = {}
        for pid in self._inodes:
            status = self._processes[pid].status
            for vector in (status.ns_pgid, status.ns_sid):
                known = tuple(number for number in vector if number)
                if not known or vector[0] in self._processes:
                    continue
                if len(known) > max(self._depth + 1, len(longest.get(known[0], AbsentRecord((), 0)).pids)):
                    longest[known[0]] = AbsentRecord(known, self._around(pid)[len(known) - self._depth - 1])
        return tuple(longest.values())

    def _around(self, pid: int) -> tuple[int, ...]:
        """The namespaces from the ground to that of *pid*."""
        if (first := self.namespace(pid)) == 0:
            return (0,)
        parent = self._processes[first].stat.ppid
        return (*(self._around(parent) if parent in self._processes else (0,)), first)


def not_in_tree(pid: int) -> Obstacle:
    """*pid* is in a nested PID namespace whose first process is not in the tree."""
    return Obstacle(
        pid,
        "",
        "lives in a PID namespace whose first process is not in the tree",
        "name that process, or one above it, or run crtool inside that namespace",
    )


def no_children(pid: int) -> Obstacle:
    """The children of *pid* would be born into a namespace that is not in the tree."""
    return Obstacle(
        pid,
        "",
        "bears its children into a PID namespace that has ended, or whose first process is not in the tree",
        "name a process further up",
    )


class Numbers:
    """Of an image: who sees whom as what."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._vector: dict[int, tuple[int, ...]] = {absent.pids[0]: absent.pids for absent in snapshot.absent}
        self._namespace: dict[int, int] = {absent.pids[0]: absent.namespace for absent in snapshot.absent}
        parents: dict[int, int] = {}
        for record in snapshot.processes:
            numbers: Iterable[tuple[int, ...]] = (record.pids, *(thread.tids for thread in record.threads))
            for vector in numbers:
                self._vector[vector[0]] = vector
                self._namespace[vector[0]] = record.namespace
            parents[record.pids[0]] = record.ppid
        self._parents = parents

    def seen(self, number: int, by: int) -> int:
        """What process *by* calls the process, thread, group or session *number*; 0 if it has no name for it."""
        if (where := self._namespace[by]) == 0 or number == 0:
            return number
        around = self._namespace.get(number, 0)
        while around not in (0, where):
            around = self._namespace.get(self._parents.get(around, 0), 0)
        return self._vector[number][len(self._vector[where]) - 1] if around == where else 0
