"""The TCP sockets of a tree while it is being saved.

Connections with the outside are held still, if the tree is to be killed, by a table of nf_tables: what arrives behind
our reading would be acknowledged, and lost. Until the kill the table is owned by crtool, so that a
crtool that dies leaves nothing behind. After it, our own descriptors keep the sockets alive: they are closed in repair
mode, silently, and a table that stays keeps the kernel from answering the other end in their place.

Connections within the tree need none of that: both ends stand still.
"""

from __future__ import annotations

import os
import socket as python_socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from crtool.abi import tcp as abi
from crtool.abi.tcp import State
from crtool.errors import Obstacle, ObstacleError
from crtool.kernel import inet_diag, nftables, tcp
from crtool.kernel.inet_diag import DiagSocket
from crtool.record import dataclass, replace
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import options
from crtool.resources.files.sockets.tcp import CONNECTED, TcpRecord, closed, dump, show, with_reading
from crtool.resources.files.sockets.tcp_keeper import read_all

__all__ = ["Connections"]


@dataclass
class _Socket:
    """One socket of the tree, with a descriptor of our own."""

    pid: int
    fd: int  # there
    local: int  # here
    inode: int
    record: TcpRecord

    @property
    def shown(self) -> str:
        ends = f"{show(self.record.local)} with {show(self.record.remote)}"
        return f"PID {self.pid} fd {self.fd}: the connection of {ends}"


class Connections:
    """Collects TCP sockets; as a context manager it gives back what it has borrowed."""

    def __init__(self, *, keep: bool = True, killing: bool = False) -> None:
        """*keep*: connections with the outside are saved. *killing*: the tree is to be killed."""
        self.warnings: list[str] = []
        self.table = ""  # of nf_tables, that is to hold the connections until the restart
        self._keep = keep
        self._killing = killing
        self._sockets: list[_Socket] = []
        self._line: python_socket.socket | None = None
        self._held: list[nftables.Tuple] = []

    def add(self, file: OpenFile) -> TcpRecord:
        """The record of *file*, to be made whole by :meth:`complete`."""
        record = dump(file)
        if not record.failed:
            self.warnings += (f"PID {file.pid} fd {file.fd}: {what} is lost" for what in options.lost(file.local))
        self._sockets.append(_Socket(file.pid, file.fd, os.dup(file.local), file.stat.st_ino, record))
        return record

    def complete(self) -> Callable[[TcpRecord], TcpRecord]:
        """Reads all connections; the function returned gives the whole record for one that :meth:`add` gave."""
        first = {id(entry.record): entry for entry in self._sockets}
        self._find_destinations()
        here = {self._ends(entry) for entry in self._sockets if entry.record.remote}
        outside = []
        connected = [entry for entry in self._sockets if entry.record.state in CONNECTED]
        waiting = self._not_accepted(connected)
        for entry in connected:
            ends = self._ends(entry)
            mirrored = (*ends[2:], *ends[:2])
            if mirrored in here:
                continue
            if mirrored in waiting:
                self._wait(entry, waiting[mirrored])
                continue
            entry.record = replace(entry.record, outside=True)
            outside.append(entry)
        if self._keep:
            self._hold(outside)
        else:
            for entry in outside:
                self.warnings.append(f"{entry.shown} was not saved (--tcp close)")
                entry.record = closed(entry.record)
        self._read([entry for entry in connected if entry.record.state in CONNECTED])
        return lambda record: first[id(record)].record

    def silence(self) -> Iterator[str]:
        """Ends the connections without a word, when the tree has been killed; they are held for a restart.

        Yields what is to be said about that.
        """
        for entry in self._sockets:
            if entry.record.state in CONNECTED or entry.record.state is State.SYN_SENT:
                with suppress(OSError):
                    tcp.repair(entry.local, abi.REPAIR_ON)
        if self._line is not None:
            try:
                nftables.hold(self.table, self._held, owned=False).close()
            except OSError as error:
                yield f"TCP connections are not held for the restart: {error.strerror}"
                return
            yield (
                f"{len(self._held)} TCP connections wait for a restart, held by nftables: "
                f"if there is to be none, nft delete table inet {self.table}"
            )

    def close(self) -> None:
        """Closes our descriptors and lets the connections go that nobody has silenced."""
        for entry in self._sockets:
            os.close(entry.local)
        self._sockets.clear()
        if self._line is not None:
            self._line.close()
            self._line = None

    @staticmethod
    def _ends(entry: _Socket) -> nftables.Tuple:
        return (*tcp.host_of(entry.record.local), *tcp.host_of(entry.record.remote))

    def _find_destinations(self) -> None:
        """Of a connection that is being made, only the list of all sockets tells where it is to lead."""
        beginning = {entry.inode: entry for entry in self._sockets if entry.record.state is State.SYN_SENT}
        if not beginning:
            return
        for found in inet_diag.tcp_sockets([State.SYN_SENT]):
            if (entry := beginning.get(found.inode)) is not None:
                remote = tcp.address(entry.record.family, found.other_host, found.other_port)
                entry.record = replace(entry.record, remote=remote)

    def _not_accepted(self, connected: list[_Socket]) -> dict[nftables.Tuple, DiagSocket]:
        """The connections that wait to be accepted, by their ends."""
        listening = [entry for entry in self._sockets if tcp.info(entry.local).waiting]
        if not listening:
            return {}
        ports = {tcp.host_of(entry.record.local)[1]: entry for entry in listening}
        clients = {self._ends(entry) for entry in connected}
        found = {}
        lost = dict.fromkeys(ports, 0)
        for child in inet_diag.tcp_sockets([State.ESTABLISHED, State.CLOSE_WAIT]):
            if child.inode == 0 and child.port in ports:
                ends = (child.host, child.port, child.other_host, child.other_port)
                found[ends] = child
                if (*ends[2:], *ends[:2]) not in clients:
                    lost[child.port] += 1
        for port, count in lost.items():
            if count:
                entry = ports[port]
                self.warnings.append(
                    f"PID {entry.pid} fd {entry.fd}: {count} connections to {show(entry.record.local)} "
                    "that nobody has accepted are not in the image"
                )
        return found

    def _wait(self, entry: _Socket, child: DiagSocket) -> None:
        """*entry* is the client of *child*, which waits to be accepted and has to be connected anew."""
        if child.unread - (child.state == State.CLOSE_WAIT):  # its FIN counts, too
            # Only who accepts it could read that.
            self.warnings.append(f"{entry.shown} comes back as reset: nobody has accepted it, and it holds data")
            entry.record = closed(entry.record)
        else:
            entry.record = replace(entry.record, waiting=True)

    def _hold(self, outside: list[_Socket]) -> None:
        if not (self._killing and outside):
            return
        self._held = [self._ends(entry) for entry in outside]
        self.table = f"crtool-{os.urandom(8).hex()}"
        try:
            self._line = nftables.hold(f"{self.table}-now", self._held, owned=True)
        except OSError as error:
            self.table = ""
            self.warnings.append(
                f"{len(outside)} TCP connections with the outside cannot be held ({error.strerror}): "
                "what the other end sends before the restart ends them"
            )

    def _read(self, connected: list[_Socket]) -> None:
        for entry, reading in zip(connected, read_all([entry.local for entry in connected]), strict=True):
            if reading.error:
                if tcp.info(entry.local).state not in CONNECTED:
                    cause = "a TCP connection has just ended"
                else:
                    cause = f"a TCP connection cannot be read ({os.strerror(reading.error)})"
                raise ObstacleError([Obstacle(entry.pid, f"fd {entry.fd}", cause, "try again")])
            entry.record = with_reading(entry.record, entry.local, reading)
