"""Unix sockets at a restart: made, named, connected and filled, all in crtool, before anybody is born.

The kernel notes who made a socket when socketpair(2), listen(2) or connect(2) is called, and the other end can ask for
it (SO_PEERCRED). So these calls are made by stand-ins, which have the PID, user and group of that process for the
moment. A connection gets the name that its accepting end has, from a listening socket of that name: the one of the
tree, or one that is made for the purpose.

The order: sockets and names; pairs and connections; who waits to be accepted; unread data, which may carry any other
open file; then what would have been in the way: shut down directions, connections of datagram sockets, options, flags.

Lost: the PID of SO_PEERCRED, with a warning, if it is taken or crtool may not choose it; the groups of SO_PEERGROUPS,
with a warning, if crtool may not choose them; the pidfd of the other end (SO_PEERPIDFD), which is that of the stand-in.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from crtool.errors import EnvironmentDiffers
from crtool.kernel import sockets
from crtool.kernel.standin import stand_in
from crtool.kernel.sweeper import Sweeper
from crtool.kernel.unix_diag import ESTABLISHED, LISTEN
from crtool.resources.files.sockets import unix
from crtool.resources.files.sockets.option_table import FILLED, FRESH
from crtool.resources.files.sockets.unix import MakerRecord, MessageRecord, UnixRecord
from crtool.resources.files.sockets.unix_names import Names, address
from crtool.resources.files.sockets.unix_outside import census
from crtool.resources.files.sockets.unix_send import send

__all__ = ["RemadeSockets"]

_AF_UNIX = 1
_SCM_RIGHTS, _SCM_CREDENTIALS = 1, 2
_BACKLOG = 1 << 16  # more than anybody has; the kernel cuts it
_ROOM = 1 << 24  # bytes that a socket may have under way while it is filled

_Item = TypeVar("_Item")
_Key = TypeVar("_Key")
_NOBODY = MakerRecord(0, -1, -1, None)


class RemadeSockets:
    """The unix sockets of a restart under way."""

    def __init__(
        self, records: Iterable[UnixRecord], warn: Callable[[str], None], sweeper: Sweeper, *, apart: bool
    ) -> None:
        """*apart*: the PIDs of the image will be those of another PID namespace."""
        self._records = {record.inode: record for record in records}
        self._warn = warn
        self._apart = apart
        found = self._records.values()
        self._listeners = {each.name: each for each in found if each.state == LISTEN and each.name}
        self._datagram_sockets = {each.name: each for each in found if each.kind == socket.SOCK_DGRAM and each.name}
        self._accepted: set[int] | None = None
        self._fds: dict[int, int] = {}
        self._extra: dict[int, int] = {}  # inode of a socket whose other end does not come back → that end
        self._helpers: list[int] = []
        self._warned: set[str] = set()
        self._groups: dict[tuple[int, ...], bool] = {}  # whether a stand-in may have them
        self._names = Names(census() if self._records else {}, sweeper)

    def close(self) -> None:
        """Closes what is held here; descriptors that were given out stay."""
        for fd in (*self._fds.values(), *self._extra.values(), *self._helpers):
            os.close(fd)
        self._fds.clear()
        self._extra.clear()
        self._helpers.clear()

    def settle(self) -> None:
        """Lets others find the sockets: the last step of all."""
        self._names.settle()

    def abandon(self) -> None:
        """After a failure."""
        self._names.abandon()
        self._names.close()

    def leave(self) -> None:
        """Takes away what was only needed on the way."""
        self._names.close()

    def open_end(self, record: UnixRecord) -> int:
        """A new descriptor for one socket."""
        return os.dup(self._fds[record.inode])

    # -- making ------------------------------------------------------------------------------------

    def judge(self) -> None:
        """EnvironmentDiffers if the file of one could not be put where it was. It is only looked at."""
        for record in self._records.values():
            if record.file is not None and not record.file.deleted and self._owns_file(record):
                self._names.judge(record.file)

    def make(self) -> None:
        """Makes, names and connects them; all are empty then."""
        self.judge()
        pairs = list(self._pairs())
        unnamed = [pair for pair in pairs if self._is_unnamed(pair)]
        self._make_pairs(unnamed)
        named = [pair for pair in pairs if not self._is_unnamed(pair)]
        accepted = self._accepted_names()
        for record in self._records.values():
            if record.inode not in self._fds and record.inode not in accepted:
                self._fds[record.inode] = self._new(record.kind)
        self._names.bind(
            [
                (self._fds[record.inode], record.name, record.file)
                for record in self._records.values()
                if record.name and record.inode not in accepted and not (record.file and not self._findable(record))
            ]
        )
        self._connect_named([tuple(sorted(pair, key=self._acceptance)) for pair in named])
        for record in self._records.values():
            if record.state == LISTEN:
                self._listen(record)

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Inodes that are connected both ways; −inode stands for an end that does not come back."""
        waiting = {client for record in self._records.values() for client in record.waiting}
        for record in self._records.values():
            inode, peer = record.inode, record.peer
            if record.kind == socket.SOCK_DGRAM:
                other = self._records.get(peer)
                if other is not None and not other.name and (other.peer != inode or inode < peer):
                    yield inode, peer
                elif record.fate in (unix.ENDED, unix.CLOSE) and not record.peer_name:
                    yield inode, -inode
            elif record.state == ESTABLISHED and inode not in waiting and record.fate != unix.RECONNECT:
                if peer == 0:
                    yield inode, -inode
                elif inode < peer:
                    yield inode, peer

    def _record(self, inode: int) -> UnixRecord:
        return self._records[abs(inode)]

    def _name(self, inode: int) -> bytes:
        record = self._record(inode)
        return record.peer_name if inode < 0 else record.name or b""

    def _made_by(self, inode: int) -> tuple[MakerRecord, bool]:
        """And whether the user knows that the other end is lost, so that nobody will ask who that was."""
        record = self._record(inode)
        return record.made_by, record.fate == unix.CLOSE

    def _is_unnamed(self, pair: tuple[int, int]) -> bool:
        """Whether two ends can be made by socketpair(2): of datagram sockets, also one that has a name."""
        one, other = pair
        return self._record(one).kind == socket.SOCK_DGRAM or not (self._name(one) or self._name(other))

    def _listener(self, name: bytes) -> UnixRecord | None:
        return self._listeners.get(name)

    def _acceptance(self, inode: int) -> tuple[bool, bool, int]:
        """The larger, the more likely the end was made by accept(2): it has a listening socket's name."""
        name = self._name(inode)
        return bool(name and self._listener(name)), bool(name), abs(inode)

    def _findable(self, record: UnixRecord) -> bool:
        return True if record.file is None else self._owns_file(record) or record.file.deleted

    def _owns_file(self, record: UnixRecord) -> bool:
        """Whether the file of its name is its own: accepted sockets have the name of the listening one."""
        if record.state != ESTABLISHED or record.kind == socket.SOCK_DGRAM:
            return True
        return record.inode not in self._accepted_names()

    def _accepted_names(self) -> set[int]:
        if self._accepted is None:
            named = (pair for pair in self._pairs() if not self._is_unnamed(pair))
            self._accepted = {max(pair, key=self._acceptance) for pair in named}
        return self._accepted

    def _new(self, kind: int) -> int:
        return sockets.socket(_AF_UNIX, kind, 0)

    def _take(self, inode: int, fd: int) -> None:
        if inode < 0:
            self._extra[-inode] = fd
        else:
            self._fds[inode] = fd

    def _make_pairs(self, pairs: Sequence[tuple[int, int]]) -> None:
        for (maker, told), group in _grouped(pairs, lambda pair: self._made_by(pair[0])):
            kinds = [self._record(one).kind for one, _ in group]
            found = self._by(maker, partial(_socketpairs, kinds), told=told)
            for number, (one, other) in enumerate(group):
                self._take(one, found[2 * number])
                self._take(other, found[2 * number + 1])

    def _connect_named(self, pairs: Sequence[tuple[int, ...]]) -> None:
        """Connects each first of *pairs*, and accepts the second, by a listening socket of the second's name."""
        for (name, kind), group in _grouped(pairs, lambda pair: (self._name(pair[1]), self._record(pair[1]).kind)):
            record = self._listener(name)
            if record is not None and record.kind == kind:
                listener = self._fds[record.inode]
            else:
                listener = self._new(kind)
                self._names.bind([(listener, name, None)])
            where = self._names.address_of(listener)
            assert where is not None
            for (maker, told), some in _grouped(group, lambda pair: self._made_by(pair[0])):
                self._by(maker, partial(_listen, listener, _BACKLOG), told=told)
                for (connector, _), few in _grouped(some, lambda pair: self._made_by(pair[1])):
                    ends = []
                    for one, _ in few:
                        if one not in self._fds:
                            self._take(one, self._new(kind))
                        ends.append(self._extra[-one] if one < 0 else self._fds[one])
                    found = self._by(connector, partial(_connect_all, ends, listener, where), told=told)
                    for (_, other), fd in zip(few, found, strict=True):
                        self._take(other, fd)
            if record is None or record.kind != kind:
                self._helpers.append(listener)

    def _listen(self, record: UnixRecord) -> None:
        """Lets a socket listen, and those wait that waited."""
        fd = self._fds[record.inode]
        where = self._names.address_of(fd)
        maker = record.made_by
        clients = [self._records.get(client) for client in record.waiting]
        for client in clients:
            if where is None:
                break
            self._by(client.made_by if client is not None else maker, partial(_listen, fd, _BACKLOG))
            mine = self._fds[client.inode] if client is not None else self._new(record.kind)
            self._by(client.holder if client is not None else maker, partial(_connect, mine, where))
            if client is None:
                os.close(mine)
        self._by(maker, partial(_listen, fd, record.backlog))

    def _by(self, maker: MakerRecord, work: Callable[[], Sequence[int]], *, told: bool = False) -> Sequence[int]:
        """Lets a stand-in of *maker* do *work*. *told*: if it is not quite like him, the user does not need to know."""
        pid, uid, gid = maker.pid, maker.uid, maker.gid
        if pid <= 0:
            return work()
        groups = self._groups_of(maker, told=told)
        if not self._apart:
            try:
                return stand_in(work, pid, uid, gid, groups)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.EPERM, errno.EINVAL):
                    raise
        if not told:
            self._warn_once(f"PID {pid} has made a unix socket: its other end is told another number (SO_PEERCRED)")
        return stand_in(work, 0, uid, gid, groups)

    def _groups_of(self, maker: MakerRecord, *, told: bool) -> tuple[int, ...] | None:
        """What a stand-in of *maker* has to call setgroups(2) with; None if it is to keep those of crtool."""
        groups = maker.groups
        if groups is None or list(groups) == sorted(os.getgroups()):
            return None
        if groups not in self._groups:
            try:
                stand_in(tuple, groups=groups)
                self._groups[groups] = True
            except OSError:
                self._groups[groups] = False
        if self._groups[groups]:
            return groups
        if not told:
            who = f"PID {maker.pid} has made a unix socket"
            self._warn_once(f"{who}: its other end is told other groups (SO_PEERGROUPS)")
        return None

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    # -- filling -----------------------------------------------------------------------------------

    def fill(self, description: Callable[[int], int]) -> None:
        """Sends what was unread, and does all that has to follow. *description*: our descriptor of one of the image's
        open file descriptions.
        """
        for record in self._records.values():
            if record.messages:
                self._send(record, description)
        for fd in self._extra.values():
            os.close(fd)
        self._extra.clear()
        for record in self._records.values():
            self._finish(record)
        self.close()

    def _send(self, record: UnixRecord, description: Callable[[int], int]) -> None:
        sources: dict[bytes, int] = {}
        for number, message in enumerate(record.messages):
            fd, to = self._way(record, message, sources)
            shown = f"{unix.shown_name(record.name)} of PID {record.holder.pid}"
            if fd < 0:
                self._warn(f"{shown}: {len(record.messages) - number} unread messages cannot be sent again")
                return
            carried = [description(index) for index in message.descriptions]
            sender = MakerRecord(*message.sender, None) if message.sender is not None else _NOBODY
            self._by(sender, partial(send, fd, record.kind, message, carried, to, shown))

    def _way(self, record: UnixRecord, message: MessageRecord, sources: dict[bytes, int]) -> tuple[int, bytes]:
        """From which socket a message is sent, and to which address (none: to the one that it is connected to)."""
        if record.kind != socket.SOCK_DGRAM:
            if record.inode in self._extra:
                return self._extra[record.inode], b""
            return self._fds.get(record.peer, -1), b""
        where = self._names.address_of(self._fds[record.inode])
        if where is None:
            if record.inode in self._extra:
                return self._extra[record.inode], b""
            other = self._records.get(record.peer)
            return (self._fds[other.inode], b"") if other is not None and other.peer == record.inode else (-1, b"")
        if message.source not in sources:
            sender = self._datagram_sockets.get(message.source)
            if sender is not None:
                sources[message.source] = self._fds[sender.inode]
            else:
                made = self._new(record.kind)
                self._helpers.append(made)
                if message.source:
                    self._names.bind([(made, message.source, None)])
                sources[message.source] = made
        return sources[message.source], where

    def _finish(self, record: UnixRecord) -> None:
        fd = self._fds[record.inode]
        shown = f"{unix.shown_name(record.name)} of PID {record.holder.pid}"
        other = self._records.get(record.peer)
        if record.kind == socket.SOCK_DGRAM and other is not None and other.name:
            where = self._names.address_of(self._fds[other.inode])
            if where is not None:
                _connect(fd, where)
        elif record.kind == socket.SOCK_DGRAM and record.fate == unix.ENDED and record.peer_name:
            self._connect_to_ended(fd, record)
        elif record.fate == unix.RECONNECT:
            try:
                self._by(record.holder, partial(_connect, fd, address(record.peer_name)))
            except OSError as error:
                raise EnvironmentDiffers(
                    f"{shown} cannot be connected to {unix.shown_name(record.peer_name)}: {error.strerror}",
                    "start the program that listens there",
                ) from None
        if record.shutdown:
            try:
                sockets.shutdown(fd, record.shutdown - 1)
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise
        unix.OPTIONS.restore(fd, record.options, FRESH, shown, self._warn)
        unix.OPTIONS.restore(fd, record.options, FILLED, shown, self._warn)
        fcntl.fcntl(fd, fcntl.F_SETFL, record.flags & ~(os.O_ACCMODE | os.O_ASYNC))

    def _connect_to_ended(self, fd: int, record: UnixRecord) -> None:
        """A datagram socket that is connected to one that has ended finds out when it sends something."""
        with sockets.opened(_AF_UNIX, record.kind, 0) as gone:
            self._names.bind([(gone, record.peer_name, None)])
            where = self._names.address_of(gone)
            if where is not None:
                _connect(fd, where)


def _grouped(items: Iterable[_Item], key: Callable[[_Item], _Key]) -> Iterator[tuple[_Key, list[_Item]]]:
    """The items by their keys, in the order in which each key comes first."""
    groups: dict[_Key, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    yield from groups.items()


def _socketpairs(kinds: Sequence[int]) -> Sequence[int]:
    return [fd for kind in kinds for fd in sockets.socketpair(_AF_UNIX, kind, 0)]


def _listen(fd: int, backlog: int) -> Sequence[int]:
    sockets.listen(fd, backlog)
    return ()


def _connect(fd: int, where: bytes) -> Sequence[int]:
    sockets.connect(fd, where)
    return ()


def _connect_all(ends: Sequence[int], listener: int, where: bytes) -> Sequence[int]:
    found = []
    with socket.socket(fileno=os.dup(listener)) as listening:
        for fd in ends:
            sockets.connect(fd, where)
            accepted, _ = listening.accept()
            found.append(accepted.detach())
    return found
