"""What a frozen tree has open: tables of descriptors, the open file descriptions in them, roots and folders.

Each thing that several processes share is found once, by kcmp(2), and has its place in a table. Descriptors are
borrowed: crtool itself asks, peeks and measures what is behind them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from crtool.engine.freeze import Frozen
from crtool.engine.in_flight import settle_sockets
from crtool.engine.preflight import Report
from crtool.engine.snapshot import FilesRecord
from crtool.errors import Obstacle, ObstacleError
from crtool.kernel import process as kernel_process
from crtool.kernel.file_census import FileCensus, Standing
from crtool.kernel.process import Identities
from crtool.procfs.descriptors import Descriptors
from crtool.procfs.fdinfo import Fdinfo
from crtool.procfs.status import Status
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files import kinds, owners
from crtool.resources.files.collector import Inodes
from crtool.resources.files.epoll_targets import EpollTargets
from crtool.resources.files.fs import FsRecord
from crtool.resources.files.inherited import InheritedRecord
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.locks import Locks, TableLocks
from crtool.resources.files.openfile import OpenFile, borrow
from crtool.resources.files.rings import Rings
from crtool.resources.files.sockets.guard import Guard
from crtool.resources.files.sockets.reuseport import PortGroups
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.tcp_connections import Connections
from crtool.resources.files.sockets.unix import UnixRecord
from crtool.resources.files.sockets.unix_collect import UnixSockets
from crtool.resources.files.table import DescriptorRecord, TableRecord
from crtool.resources.files.terminals import Terminals
from crtool.resources.files.uring_collect import RegisteredRings
from crtool.resources.files.userfaultfd import AreaRecord, UserfaultfdRecord
from crtool.resources.files.watches import Watches

__all__ = ["OpenFiles", "inode_behind"]


@dataclass(frozen=True)
class _Table:
    """A table of descriptors that is being looked at."""

    pid: int
    tid: int  # a thread that has it
    pidfd: int  # of that thread
    folder: Descriptors
    locks: TableLocks


@dataclass(frozen=True)
class _Alike:
    """How more open files of one path are described."""

    description: int  # of the first
    link: bytes
    another: Callable[[int, int], DescriptionRecord]  # by flags and position


def inode_behind(path: str, inodes: Inodes) -> int:
    """The index of what a link of /proc leads to, of a process that stands still."""
    link = os.fsencode(os.readlink(path))
    if (known := inodes.known(os.stat(path), link)) is not None:
        return known
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return inodes.index(fd, link)
    finally:
        os.close(fd)


class OpenFiles:
    """Collects what the processes of a frozen tree have open."""

    def __init__(
        self,
        frozen: Frozen,
        report: Report,
        inodes: Inodes,
        connections: Connections,
        member: Callable[[OpenFile], int],
    ) -> None:
        """*member*: as of :class:`kinds.Shared`."""
        self.losses: list[str] = []  # what of open files does not come back
        self._frozen = frozen
        self._report = report
        self._inodes = inodes
        self._connections = connections
        self._tables: list[TableRecord] = []
        self._table_ids = Identities(kernel_process.KCMP_FILES)
        self._views: list[FsRecord] = []
        self._view_ids = Identities(kernel_process.KCMP_FS)
        self.views: dict[int, set[int]] = {}  # by PID, those that its threads have
        self._descriptions: list[DescriptionRecord] = []
        self._locks = Locks(self.losses.append)
        self._owners: list[owners.OwnerRecord] = []
        self._description_ids = Identities(kernel_process.KCMP_FILE)
        self._own = Descriptors(os.getpid())
        self._by_address: dict[int, int] = {}  # descriptions, by the addresses that the kernel has them at
        self._alike: dict[tuple[int, ...], _Alike] = {}  # by path
        self._watched = EpollTargets()
        self._registered = RegisteredRings()
        self._ports = PortGroups()
        self._who: dict[int, list[tuple[int, int]]] = {}  # PIDs and TIDs that have a table
        self._pipes = Rings(lambda file: inodes.index(file.local, file.link, info=file.stat))
        self._terminals = Terminals(self._puppet_of)
        self._guard = Guard()
        self.unix = UnixSockets(report.policy.unix, self._guard)
        self._shared = kinds.Shared(
            lambda file: inodes.index(file.local, file.link, info=file.stat),
            self._pipes,
            self._terminals.end,
            self._holder,
            connections.add,
            self.unix.dump,
            self._guard,
            self._lost,
            member,
            Watches(lambda: ((pid, process.door) for pid, process in frozen.processes.items() if process.held)),
        )

    def close(self) -> None:
        """Gives back what has been borrowed."""
        self._own.close()
        self._pipes.close()
        self._guard.close()
        self.unix.close()
        self._terminals.ends.close()
        self._ports.close()

    def table(self, pid: int, tid: int) -> int:
        """The index of the table of descriptors of a thread, which is read if it is new."""
        table, new = self._table_ids.find(tid)
        if new:
            self._tables.append(TableRecord((), ()))  # its place
            self._tables[table] = self._dump_table(pid, tid)
        self._who.setdefault(table, []).append((pid, tid))
        return table

    def view(self, pid: int, tid: int, status: Status) -> int:
        """The index of root, folder and umask of a thread, which has *status*."""
        view, new = self._view_ids.find(tid)
        if new:
            base = f"/proc/{tid}"
            root, cwd = (inode_behind(f"{base}/{name}", self._inodes) for name in ("root", "cwd"))
            self._views.append(FsRecord(root, cwd, status.umask or 0))
        self.views.setdefault(pid, set()).add(view)
        return view

    def settle(self) -> None:
        """Completes what can only be told when everybody has been asked."""
        processes = self._frozen.processes
        settle_sockets(
            self.unix,
            self._descriptions,
            self._description_ids,
            self._description,
            self._watched,
            processes,
            self._lost,
        )
        self._judge_flying()
        self._watched.complete(self._descriptions, self._tables)
        self._registered.complete(self._descriptions, self._tables, self._who)
        self._rings = self._pipes.records()
        whole = self._connections.complete()
        for index, record in enumerate(self._descriptions):
            if isinstance(record, TcpRecord):
                self._descriptions[index] = whole(record)
        self._ports.complete(self._descriptions)
        self._terminal = self._terminals.callers(process.stat for process in processes.values())

    def _judge_flying(self) -> None:
        """A userfaultfd is made when all messages are on their way already."""
        for record in self._descriptions:
            if isinstance(record, UnixRecord):
                flying = {index for message in record.messages for index in message.descriptions}
                if any(isinstance(self._descriptions[index], UserfaultfdRecord) for index in flying):
                    cause = "a userfaultfd in flight within a unix socket cannot be saved"
                    raise ObstacleError([Obstacle(self._frozen.root, "", cause, "let the program fetch it")])

    def watched(self) -> dict[int, list[AreaRecord]]:
        """By PID, what is watched by a userfaultfd of the tree."""
        found: dict[int, list[AreaRecord]] = {}
        for record in self._descriptions:
            if isinstance(record, UserfaultfdRecord):
                found.setdefault(record.owner, []).extend(record.areas)
        return found

    def record(self) -> FilesRecord:
        """All of it, when it is settled."""
        return FilesRecord(
            inodes=tuple(self._inodes.records),
            pipes=self._rings,
            ptys=tuple(self._terminals.pairs),
            terminal=self._terminal,
            tcp_table=self._connections.table,
            descriptions=tuple(self._descriptions),
            owners=tuple(self._owners),
            tables=tuple(self._tables),
            views=tuple(self._views),
        )

    def _dump_table(self, pid: int, tid: int) -> TableRecord:
        pidfd = kernel_process.pidfd_open(tid)
        try:
            found = self._locks.table()
            with Descriptors(pid, tid) as folder:
                table = _Table(pid, tid, pidfd, folder, found)
                ask = self._asked(table) if self._report.census is None else self._counted(table, self._report.census)
                descriptors = tuple(ask)
            return TableRecord(descriptors, found.records())
        finally:
            os.close(pidfd)

    def _asked(self, table: _Table) -> Iterator[DescriptorRecord]:
        """The descriptors of *table*, one asked about after the other."""
        for fd in table.folder.numbers():
            link, info = table.folder.link(fd), table.folder.info(fd)
            place = (link, info.flags & ~os.O_CLOEXEC, info.pos)
            description, new = self._description_ids.find(table.tid, fd, place)
            if new:
                with borrow(table.pidfd, table.pid, fd, link, info) as file:
                    self._take(file, table.tid, description)
            else:
                self._watched.note(table.tid, fd, description)
            table.locks.add(table.pid, fd, description, info)
            yield DescriptorRecord(fd, description, info.close_on_exec)

    def _counted(self, table: _Table, census: FileCensus) -> Iterator[DescriptorRecord]:
        """The same, of which *census* knows nearly all. What it cannot tell is asked once for each path, and for each
        open file that has more to say.
        """
        for standing in census.look(table.tid):
            fd = standing.fd
            if (description := self._by_address.get(standing.file)) is not None:
                self._watched.note(table.tid, fd, description)
            else:
                description = self._by_address[standing.file] = self._new(table, standing)
            if standing.locked:
                table.locks.add(table.pid, fd, description, table.folder.info(fd))
            yield DescriptorRecord(fd, description, bool(standing.flags & os.O_CLOEXEC))

    def _new(self, table: _Table, standing: Standing) -> int:
        fd, flags, position = standing.fd, standing.flags & ~os.O_CLOEXEC, standing.position
        ask = standing.tells or standing.owned
        if not ask and (found := self._alike.get(standing.path)) is not None:
            description = self._description_ids.add(table.tid, fd, (found.link, flags, position))
            self._descriptions.append(found.another(flags, position))
            self._watched.note(table.tid, fd, description, found.description)
            return description
        info = Fdinfo(position, standing.flags, standing.mount, standing.inode, ())
        if standing.tells or standing.locked:
            info = table.folder.info(fd)
        local = kernel_process.pidfd_getfd(table.pidfd, fd)
        try:
            # By a number of our own, which is the same one each time: of the target's, the kernel would have to make an
            # entry in /proc first.
            link = self._own.link(local)
            description = self._description_ids.add(table.tid, fd, (link, flags, position))
            file = OpenFile(table.pid, fd, local, link, info, os.fstat(local))
            self._take(file, table.tid, description, owned=standing.owned)
        finally:
            os.close(local)
        if not ask and (another := kinds.another(self._descriptions[description], self._shared)) is not None:
            self._alike[standing.path] = _Alike(description, link, another)
        return description

    def _take(self, file: OpenFile, tid: int, description: int, *, owned: bool = True) -> None:
        """Describes an open file of thread *tid*; *owned*: it has to be asked whom it tells by a signal."""
        self._descriptions.append(self._description(file))
        self._watched.add(file, tid, description)
        self._registered.add(file, description)
        self._ports.add(file, description)
        if owned and (owner := owners.dump(file)) is not None:
            self._owners.append(owner)

    def _description(self, file: OpenFile) -> DescriptionRecord:
        kind = kinds.kind_of(file)
        if (obstacle := kind.obstacle(file, f"fd {file.fd}")) is not None:
            raise ObstacleError([obstacle])
        stream = self._report.inherited.get((file.stat.st_dev, file.stat.st_ino))
        return kind.dump(file, self._shared) if stream is None else InheritedRecord(stream)

    def _holder(self, file: OpenFile) -> Puppet | None:
        """The held task by whose descriptor *file* was found; a thread with a table of its own cannot be used."""
        held = self._frozen.processes[file.pid].held
        if held is None:
            return None
        same = kernel_process.kcmp(os.getpid(), held.caller.tid, kernel_process.KCMP_FILE, file.local, file.fd)
        return held if same == 0 else None

    def _lost(self, file: OpenFile, what: str) -> None:
        self.losses.append(f"PID {file.pid} fd {file.fd}: {what} is lost")

    def _puppet_of(self, pid: int) -> Puppet:
        held = self._frozen.processes[pid].held
        assert held is not None
        return held
