"""The namespaces that a tree has made for itself, apart from PID namespaces: UTS, IPC, network, cgroup, mount.

Which these are is told by inode numbers: those that are not the base's (:mod:`crtool.engine.lodging`). Whoever lives in
one is a *member*. At a restart the first member makes the namespace, and the others enter it by /proc/PID/ns, before
anything else happens to them: they have one thread then, and nothing open of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from crtool.abi.fcntl import AT_FDCWD
from crtool.engine.snapshot import NamespaceRecord, Snapshot
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError, RemoteCallError, TargetDied
from crtool.procfs import ns as ns_file
from crtool.procfs.read import alive, entries
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.resources.ipc import posix
from crtool.resources.namespaces import cgroup, ipc, mounts, net, own_mounts, uts
from crtool.resources.namespaces.cgroup import CgroupNamespaceRecord
from crtool.resources.namespaces.ipc import IpcNamespaceRecord
from crtool.resources.namespaces.mounts import MountsRecord, ProcRecord
from crtool.resources.namespaces.net import NetRecord
from crtool.resources.namespaces.own_mounts import MountRecord
from crtool.resources.namespaces.uts import UtsRecord

if TYPE_CHECKING:
    from crtool.engine.lodging import Base

__all__ = ["MadeNamespaces", "make_namespaces", "members_of_mounts"]

# In the order in which they are made: after a mount namespace is entered, /proc may be another one.
_KINDS: dict[str, tuple[int, type[NamespaceRecord]]] = {
    "uts": (uts.FLAG, UtsRecord),
    "ipc": (ipc.FLAG, IpcNamespaceRecord),
    "net": (net.FLAG, NetRecord),
    "cgroup": (cgroup.FLAG, CgroupNamespaceRecord),
    "mnt": (mounts.FLAG, MountsRecord),
}
_REMEDY = "let it undo that, or run crtool inside that namespace"
_Key: TypeAlias = "tuple[str, int | None]"


class MadeNamespaces:
    """Collects the namespaces of a tree, process after process, and then judges and describes them."""

    def __init__(self, base: Base, rooms: list[tuple[int, int]] | None = None) -> None:
        """*rooms*, of a frozen tree only: gets each mount namespace that is found, by a living thread in it and its
        first member.
        """
        self._rooms = rooms
        self._frozen = rooms is not None
        self._base = base.namespaces
        self._members: dict[_Key, dict[int, int]] = {}  # kind and inode → member → a living thread of it
        self._pid_namespaces: dict[int, int | None] = {}  # of members: inode

    def add(self, pid: int, door: int) -> None:
        """Looks at a process that lives; *door*: the thread through which to look."""
        for kind in _KINDS:
            if (inode := ns_file.inode(door, kind)) != getattr(self._base, kind):
                members = self._members.setdefault((kind, inode), {})
                if kind == "mnt" and not members and self._rooms is not None:
                    self._rooms.append((door, pid))
                members[pid] = door
                self._pid_namespaces[pid] = ns_file.inode(door, "pid")

    def mounts_of(self, pid: int) -> int | None:
        """The inode of the mount namespace of *pid*, which was looked at; None if that is the base's."""
        found = (inode for (kind, inode), members in self._members.items() if kind == "mnt" and pid in members)
        return next(found, None)

    def obstacles(self) -> Iterator[Obstacle]:
        """What cannot be saved. Of a tree that goes on nothing is told by members that have ended meanwhile."""
        for kind, members in self._alive():
            pid, door = next(iter(members.items()))
            try:
                why = self._judge(kind, door, members)
            except TargetDied:
                if self._frozen:
                    raise
                continue
            except OSError as error:
                if not self._frozen and not alive(door):
                    continue
                why = f"lives in another {kind} namespace, which cannot be looked into: {error.strerror}"
                yield Obstacle(pid, "", why, "run crtool as root, or inside that namespace")
                continue
            if why:
                yield Obstacle(pid, "", why, _REMEDY)

    def warnings(self) -> Iterator[str]:
        """What is lost of those that can be saved."""
        for kind, members in self._alive():
            pid, door = next(iter(members.items()))
            if kind == "net":
                yield f"PID {pid}: sysctls and firewall rules of its network namespace are lost"
            elif kind == "mnt":
                with suppress(TargetDied):
                    if mounts.mixed(door):
                        yield (
                            f"PID {pid}: mounts of its namespace that propagate otherwise than its root will do so "
                            "like that"
                        )

    def _alive(self) -> Iterator[tuple[str, Mapping[int, int]]]:
        """The kind of each namespace, and who of its members still lives: all of them if they stand still."""
        for (kind, _), members in self._members.items():
            living = members if self._frozen else {pid: door for pid, door in members.items() if alive(door)}
            if living:
                yield kind, living

    def _judge(self, kind: str, door: int, members: Mapping[int, int]) -> str | None:
        if kind == "ipc":
            return next(iter(posix.hindrances_of(door)), None)
        if kind == "cgroup":
            return cgroup.obstacle(members.values())
        if kind == "net":
            return net.obstacle(door) or next(filter(None, map(self._socket, members.items())), None)
        if kind == "mnt":
            if why := own_mounts.obstacle(door):
                return why
            for mount, inode in mounts.procs(door):
                if inode not in (self._pid_namespaces[pid] for pid in members):
                    point = mount.mount_point.decode(errors="replace")
                    return f"has a procfs at {point} of a PID namespace in which nobody lives who has that mount"
        return None

    @staticmethod
    def _socket(member: tuple[int, int]) -> str | None:
        """A socket of a member; which network namespace it is of does not matter: it could not be told at a restart."""
        pid, door = member
        for name in entries(door, "fd"):
            try:
                link = os.readlink(f"/proc/{door}/fd/{name}")
            except OSError:
                continue
            if link.startswith("socket:"):
                return f"PID {pid} fd {name} is a socket of a process in a network namespace of its own"
        return None

    def records(
        self, namespace: Callable[[int], int], views: Mapping[int, Set[int]]
    ) -> tuple[NamespaceRecord, ...]:
        """Of all. *namespace*: tells the PID namespace of a process; *views*: by PID, those that it has. ObstacleError
        as of :meth:`obstacles`.
        """
        if not self._members:
            return ()
        whose: dict[int, int] = {}
        mounted = {pid for (kind, _), members in self._members.items() if kind == "mnt" for pid in members}
        found = list(self.obstacles())
        for pid, its in views.items():
            for view in its:
                # setns(2) lets nobody enter a mount namespace who shares them.
                if whose.setdefault(view, pid) != pid and pid in mounted:
                    why = f"shares root and current folder with PID {whose[view]} in a mount namespace of its own"
                    found.append(Obstacle(pid, "", why, "end one of them first"))
        if found:
            raise ObstacleError(found)
        return tuple(
            self._record(kind, members, namespace)
            for wanted in _KINDS
            for (kind, _), members in self._members.items()
            if kind == wanted
        )

    def _record(self, kind: str, members: Mapping[int, int], namespace: Callable[[int], int]) -> NamespaceRecord:
        pids, door = tuple(members), next(iter(members.values()))
        if kind == "uts":
            return uts.dump(door, pids)
        if kind == "ipc":
            return IpcNamespaceRecord(pids)
        if kind == "cgroup":
            return CgroupNamespaceRecord(pids)
        if kind == "net":
            return net.dump(door, pids)
        procs = []
        for mount, inode in mounts.procs(door):
            by = next(pid for pid in pids if self._pid_namespaces[pid] == inode)
            procs.append(ProcRecord(mount.mount_point, namespace(by), by, mounts.flags(mount)))
        return MountsRecord(pids, mounts.propagation(door), tuple(procs), own_mounts.dump(door))


def make_namespaces(snapshot: Snapshot, puppets: Mapping[int, Puppet]) -> None:
    """Brings everybody into the namespaces that he lived in, when all are born."""
    for kind, (flag, record_type) in _KINDS.items():
        for record in snapshot.namespaces:
            if isinstance(record, record_type):
                try:
                    _make(kind, flag, record, puppets)
                except RemoteCallError as error:
                    raise EnvironmentDiffers(
                        f"the {kind} namespace of PID {record.members[0]} cannot be made: {error}",
                        "run crtool as root, or see user.max_*_namespaces (sysctl) and namespaces(7)",
                    ) from None


def _make(kind: str, flag: int, record: NamespaceRecord, puppets: Mapping[int, Puppet]) -> None:
    first, *others = record.members
    batch = Batch()
    batch.call("unshare", flag, label=f"{kind} namespace")
    if isinstance(record, UtsRecord):
        uts.restore(batch, record)
    elif isinstance(record, NetRecord):
        net.restore(batch, record)
    elif isinstance(record, MountsRecord):
        mounts.restore(batch, record)
    puppets[first].run(batch)
    for pid in others:
        batch = Batch()
        path = batch.path(f"/proc/{first}/ns/{kind}")
        there = batch.call("openat", AT_FDCWD, path, os.O_RDONLY, 0, label=f"{kind} namespace")
        batch.call("setns", there, flag, label=f"{kind} namespace")
        batch.call("close", there)
        puppets[pid].run(batch)
    if isinstance(record, MountsRecord):
        _make_mounts(record, puppets)


def _make_mounts(record: MountsRecord, puppets: Mapping[int, Puppet]) -> None:
    """In their order; but what is mounted in a procfs comes after all of those."""
    folders = tuple(proc.point.rstrip(b"/") + b"/" for proc in record.procs)
    maker = puppets[record.members[0]]
    for own in record.own:
        if not own.point.startswith(folders):
            _make_mount(maker, own, record.members[0])
    for proc in record.procs:
        batch = Batch()
        mounts.mount(batch, proc)
        puppets[proc.by].run(batch)
    for own in record.own:
        if own.point.startswith(folders):
            _make_mount(maker, own, record.members[0])


def _make_mount(maker: Puppet, record: MountRecord, pid: int) -> None:
    """*pid*: of *maker* in the image; elsewhere it may bear another number."""
    try:
        own_mounts.restore(maker, record)
    except (RemoteCallError, OSError) as error:
        raise own_mounts.refusal(record, pid, error.errno or 0) from None


def members_of_mounts(snapshot: Snapshot) -> Collection[int]:
    """Who lives in a mount namespace that the tree has made."""
    return {pid for record in snapshot.namespaces if isinstance(record, MountsRecord) for pid in record.members}
