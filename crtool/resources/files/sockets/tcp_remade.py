"""The TCP sockets of an image while they are being rebuilt.

All are made in crtool before anybody is born, in this order: what is bound, what listens, what is connected, since a
listening socket must be alone when it begins, and a connection is bound in repair mode, which asks nobody. Until
the very last step connections stay in repair mode and all sockets have a filter that lets nothing in: a restart that
fails closes them without a word, and the other end does not learn of it.

:meth:`Remade.revive` is the last step: filters go, what was sent and not acknowledged is sent again when its timer
expires, and what was never sent is sent for the first time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from crtool.abi import socket as socket_abi
from crtool.abi import tcp as abi
from crtool.abi.socket import SOL_SOCKET, SOL_TCP
from crtool.abi.tcp import State
from crtool.errors import EnvironmentDiffers
from crtool.kernel import inet_diag, nftables, sockets, tcp
from crtool.resources.files.sockets.option_table import FILLED, FRESH
from crtool.resources.files.sockets.reuseport import attach, place_of
from crtool.resources.files.sockets.tcp import CONNECTED, ConnectionRecord, TcpRecord, show
from crtool.resources.files.sockets.tcp_options import TABLE
from crtool.resources.files.sockets.tcp_window import segment_window, set_windows

__all__ = ["Remade"]

_PATIENCE = 2.0  # seconds that a segment made by hand may take to arrive
_MAXSEG_MAX = 32767  # MAX_TCP_WINDOW, the largest TCP_MAXSEG
_ROOM = 1 << 30  # of a buffer that is being filled
_SHUT_READ, _SHUT_WRITE = socket_abi.SHUT_RD, socket_abi.SHUT_WR


class Remade:
    """The sockets of an image, made anew."""

    def __init__(
        self, records: Iterable[object], table: str, warn: Callable[[str], None], who: Callable[[int], str]
    ) -> None:
        """*table*: of nf_tables, that holds the connections. *who* says in words who uses a port."""
        self._records = [record for record in records if isinstance(record, TcpRecord)]
        self._table = table
        self._warn = warn
        self._who = who
        self._made: dict[int, int] = {}  # id of a record → descriptor
        self._unguarded: set[int] = set()  # ids of records that listen without a filter
        self._next_port = 1  # of other ends that never were

    def make(self) -> None:
        """Makes all of them; raises EnvironmentDiffers, and then there is none."""
        try:
            for record in self._records:
                if record.state in CONNECTED and not record.waiting:
                    continue
                self._made[id(record)] = self._bound(record) if record.shut_read is False else self._ended(record)
            for record in sorted(self._records, key=lambda record: place_of(record.sharing)):
                if record.state is State.LISTEN:
                    self._listen(record)
                if id(record) in self._made:
                    attach(self._made[id(record)], record.sharing, _shown(record))
            connected = [record for record in self._records if record.connection is not None and not record.waiting]
            for record in connected:
                self._made[id(record)] = self._connected(record)
            for record in connected:
                self._shut(record, self._made[id(record)])
        except BaseException:
            self.close()
            raise

    def take(self, record: TcpRecord) -> int:
        """The descriptor of the socket of *record*, which is the caller's from now on."""
        return self._made.pop(id(record))

    def close(self) -> None:
        """Closes those that nobody has taken."""
        for fd in self._made.values():
            os.close(fd)
        self._made.clear()

    # -- making ------------------------------------------------------------------------------------------

    def _new(self, record: TcpRecord) -> int:
        fd = sockets.socket(record.family, socket_abi.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            TABLE.restore(fd, record.options, FRESH, _shown(record), self._warn)
            fcntl.fcntl(fd, fcntl.F_SETFL, record.flags & os.O_NONBLOCK)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _bound(self, record: TcpRecord) -> int:
        """A socket that has no other end (yet)."""
        fd = self._new(record)
        try:
            if record.waiting or record.state is State.SYN_SENT:
                tcp.repair(fd, abi.REPAIR_ON)  # its port may be used by others, too
                self._bind(fd, record)
                tcp.repair(fd, abi.REPAIR_OFF)
                TABLE.restore(fd, record.options, FRESH, _shown(record), self._warn)
            elif any(record.local[2:]):
                self._bind(fd, record)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _bind(self, fd: int, record: TcpRecord) -> None:
        self._occupy(record, lambda: sockets.bind(fd, record.local))

    def _occupy(self, record: TcpRecord, call: Callable[[], None]) -> None:
        """Makes a call that wants the address of *record*."""
        try:
            try:
                call()
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not inet_diag.end_time_waits(tcp.host_of(record.local)[1]):
                    raise
                call()
        except OSError as error:
            raise self._no_address(record, error) from None

    def _no_address(self, record: TcpRecord, error: OSError) -> EnvironmentDiffers:
        where = show(record.local)
        host, port = tcp.host_of(record.local)
        if error.errno == errno.EADDRINUSE:
            return EnvironmentDiffers(
                f"{_shown(record)}: port {port} is taken {self._who(port)}", "end that, and try again"
            )
        if error.errno == errno.EADDRNOTAVAIL:
            text = where.rpartition(":")[0].strip("[]")
            return EnvironmentDiffers(
                f"{_shown(record)}: this machine has no address {text}",
                f"give it one: ip address add {text}/{8 * len(host)} dev lo",
            )
        return EnvironmentDiffers(f"{_shown(record)} cannot be bound: {error.strerror}", "see ip(7)")

    def _listen(self, record: TcpRecord) -> None:
        fd = self._made[id(record)]
        try:
            tcp.drop_everything(fd)
        except PermissionError:
            # Some kernels grant it to root only. Without it a connection may be made already, to wait with the others
            # until it is accepted; a restart that fails then resets it, as any server does that ends at its beginning.
            self._unguarded.add(id(record))
        self._occupy(record, lambda: sockets.listen(fd, record.backlog))

    def _connected(self, record: TcpRecord) -> int:
        connection = record.connection
        assert connection is not None
        fd = self._new(record)
        try:
            tcp.repair(fd, abi.REPAIR_ON)
            tcp.drop_everything(fd)
            self._bind(fd, record)
            self._connect(fd, record, connection, record.remote)
            set_windows(fd, connection, record.remote)
        except OSError as error:
            os.close(fd)
            raise EnvironmentDiffers(f"{_shown(record)} cannot be rebuilt: {error.strerror}") from None
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _connect(self, fd: int, record: TcpRecord, connection: ConnectionRecord, remote: bytes) -> None:
        """Connects a socket in repair mode and fills its receive queue."""
        tcp.select_queue(fd, abi.SEND_QUEUE)
        _set_sequence(fd, connection.snd_next - len(connection.sent))
        tcp.select_queue(fd, abi.RECV_QUEUE)
        _set_sequence(fd, connection.rcv_next - len(connection.received))
        # A connection begins with segments as small as this says, else with 536 bytes, and learns of no other size.
        sockets.setsockopt(fd, SOL_TCP, abi.TCP_MAXSEG, min(connection.mss, _MAXSEG_MAX))
        try:
            sockets.connect(fd, remote)
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EEXIST):
                why = "exists on this machine already"
                raise EnvironmentDiffers(f"{_shown(record)} {why}", "end it, or restart with --tcp close") from None
            text = f"{_shown(record)} cannot be rebuilt: {error.strerror}"
            raise EnvironmentDiffers(text, "give this machine a route, or restart with --tcp close") from None
        agreed = abi.REPAIR_OPTION.pack(abi.TCPOPT_MSS, connection.mss)
        if connection.snd_wscale >= 0:
            scales = connection.snd_wscale | connection.rcv_wscale << 16
            agreed += abi.REPAIR_OPTION.pack(abi.TCPOPT_WINDOW, scales)
        if connection.sack:
            agreed += abi.REPAIR_OPTION.pack(abi.TCPOPT_SACK_PERM, 0)
        if connection.timestamps:
            agreed += abi.REPAIR_OPTION.pack(abi.TCPOPT_TIMESTAMP, 0)
        sockets.setsockopt(fd, SOL_TCP, abi.TCP_MAXSEG, 0)
        sockets.setsockopt(fd, SOL_TCP, abi.TCP_REPAIR_OPTIONS, agreed)
        if connection.timestamps:
            sockets.setsockopt(fd, SOL_TCP, abi.TCP_TIMESTAMP, connection.timestamp)
        if connection.received:
            _make_room(fd, socket_abi.SO_RCVBUFFORCE)
            tcp.select_queue(fd, abi.RECV_QUEUE)
            tcp.put(fd, connection.received)

    def _shut(self, record: TcpRecord, fd: int) -> None:
        """Lets those FINs of both ends come that had come: all connections of the tree are there to hear."""
        connection = record.connection
        assert connection is not None
        seq, ack = connection.rcv_next, connection.snd_next - len(connection.sent)
        if record.state is State.FIN_WAIT2:
            _shutdown_silently(fd)
            self._inject(fd, record, seq, connection.snd_next + 1, abi.TH_ACK, State.FIN_WAIT2)
        elif record.state is State.CLOSING:
            tcp.select_queue(fd, abi.SEND_QUEUE)
            _make_room(fd, socket_abi.SO_SNDBUFFORCE)
            tcp.put(fd, connection.sent)
            _shutdown_silently(fd)
            self._inject(fd, record, seq, ack, abi.TH_FIN | abi.TH_ACK, State.CLOSING)
        elif record.state in (State.CLOSE_WAIT, State.LAST_ACK):
            self._inject(fd, record, seq, ack, abi.TH_FIN | abi.TH_ACK, State.CLOSE_WAIT)

    def _inject(self, fd: int, record: TcpRecord, seq: int, ack: int, flags: int, state: State) -> None:
        sockets.setsockopt(fd, SOL_SOCKET, socket_abi.SO_DETACH_FILTER, 0)
        assert record.connection is not None
        window = segment_window(record.connection)
        tcp.inject(record.remote, record.local, seq, ack, flags, window, nftables.MARK)
        _await_state(fd, state, _shown(record))
        tcp.drop_everything(fd)

    def _ended(self, record: TcpRecord) -> int:
        """A socket whose connection is over, or was refused."""
        fd = self._new(record)
        try:
            if record.was_connected:
                self._end(fd, record)
            else:
                self._be_refused(fd, record)
            if not record.failed:
                sockets.integer(fd, SOL_SOCKET, socket_abi.SO_ERROR)
            TABLE.restore(fd, record.options, FRESH, _shown(record), self._warn)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _end(self, fd: int, record: TcpRecord) -> None:
        """Connects it, in repair mode, to nobody, who resets the connection."""
        tcp.repair(fd, abi.REPAIR_ON)
        try:
            sockets.bind(fd, record.local)
        except OSError:  # its address is gone, which matters no more
            sockets.bind(fd, tcp.loopback(record.family, 0))
        local = sockets.getsockname(fd)
        host, port = tcp.host_of(local)
        if not any(host):
            local = tcp.loopback(record.family, port)
            host = tcp.host_of(local)[0]
        while True:
            remote = tcp.address(record.family, host, self._next_port)
            self._next_port += 1
            if remote[2:4] != local[2:4]:
                break
        number = 1 << 20
        connection = ConnectionRecord(
            number + len(record.unread), number, record.unread, b"", 0, 1460, -1, -1, False, False, 0, (), 0, 0
        )
        self._connect(fd, record, connection, remote)
        tcp.inject(remote, sockets.getsockname(fd), connection.rcv_next, number, abi.TH_RST, 0, nftables.MARK)
        _await_state(fd, State.CLOSE, _shown(record))
        tcp.repair(fd, abi.REPAIR_OFF_NO_WP)

    def _be_refused(self, fd: int, record: TcpRecord) -> None:
        """Lets it be refused by a port that is taken, but not listened to."""
        if any(record.local[2:]):
            with suppress(OSError):
                sockets.bind(fd, record.local)
        with sockets.opened(record.family, socket_abi.SOCK_STREAM, socket.IPPROTO_TCP) as deaf:
            sockets.bind(deaf, tcp.loopback(record.family, 0))
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
            with suppress(OSError):
                sockets.connect(fd, sockets.getsockname(deaf))
            _await_state(fd, State.CLOSE, _shown(record))
            fcntl.fcntl(fd, fcntl.F_SETFL, record.flags & os.O_NONBLOCK)

    # -- the last step -----------------------------------------------------------------------------------

    def revive(self, number: Callable[[TcpRecord], int]) -> None:
        """Lets all of them live. *number*: our descriptor for the socket of a record."""
        if self._table:
            nftables.release(self._table)
        late = []
        for record in self._records:
            fd = number(record)
            if record.state is State.SYN_SENT or record.waiting:
                late.append(record)
                continue
            if record.connection is not None:
                self._resume(fd, record, record.connection)
            elif record.state is State.LISTEN and id(record) not in self._unguarded:
                sockets.setsockopt(fd, SOL_SOCKET, socket_abi.SO_DETACH_FILTER, 0)
            TABLE.restore(fd, record.options, FILLED, _shown(record), self._warn)
        for record in late:
            self._connect_anew(number(record), record)

    def _resume(self, fd: int, record: TcpRecord, connection: ConnectionRecord) -> None:
        sockets.setsockopt(fd, SOL_SOCKET, socket_abi.SO_DETACH_FILTER, 0)
        sent, unsent = connection.sent, b""
        if record.state is State.CLOSING:
            sent = b""
        elif connection.unsent:
            sent, unsent = sent[: -connection.unsent], sent[-connection.unsent :]
        if connection.sent:
            _make_room(fd, socket_abi.SO_SNDBUFFORCE)
        tcp.select_queue(fd, abi.SEND_QUEUE)
        tcp.put(fd, sent)
        tcp.select_queue(fd, abi.NO_QUEUE)
        tcp.repair(fd, abi.REPAIR_OFF)
        tcp.put(fd, unsent)
        if record.state in (State.FIN_WAIT1, State.LAST_ACK):
            sockets.shutdown(fd, _SHUT_WRITE)
        if record.shut_read:
            sockets.shutdown(fd, _SHUT_READ)
        TABLE.restore(fd, record.options, FRESH, _shown(record), self._warn)

    def _connect_anew(self, fd: int, record: TcpRecord) -> None:
        """Begins again what was not finished."""
        flags = record.flags & os.O_NONBLOCK
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            sockets.connect(fd, record.remote)
        if record.connection is not None:
            _await_state(fd, State.ESTABLISHED, _shown(record))
            tcp.put(fd, record.connection.sent)
            if record.state is not State.ESTABLISHED:
                sockets.shutdown(fd, _SHUT_WRITE)
        if not flags:
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        TABLE.restore(fd, record.options, FILLED, _shown(record), self._warn)


def _shown(record: TcpRecord) -> str:
    if record.state is State.LISTEN:
        return f"the TCP socket that listens at {show(record.local)}"
    if record.remote:
        return f"the TCP connection of {show(record.local)} with {show(record.remote)}"
    return f"a TCP socket at {show(record.local)}"


def _set_sequence(fd: int, number: int) -> None:
    sockets.setsockopt(fd, SOL_TCP, abi.TCP_QUEUE_SEQ, number & 0xFFFF_FFFF)


def _make_room(fd: int, option: int) -> None:
    """Lets a buffer take all that it held: its size is set to what it was afterwards."""
    try:
        sockets.setsockopt(fd, SOL_SOCKET, option, _ROOM)
    except PermissionError:
        plain = socket_abi.SO_SNDBUF if option == socket_abi.SO_SNDBUFFORCE else socket_abi.SO_RCVBUF
        sockets.setsockopt(fd, SOL_SOCKET, plain, _ROOM)


def _shutdown_silently(fd: int) -> None:
    tcp.select_queue(fd, abi.SEND_QUEUE)
    sockets.shutdown(fd, _SHUT_WRITE)


def _await_state(fd: int, state: State, shown: str) -> None:
    until = time.monotonic() + _PATIENCE
    while tcp.info(fd).state is not state:
        if time.monotonic() > until:
            found = tcp.info(fd).state.name
            raise EnvironmentDiffers(f"{shown} does not come to state {state.name}, but is in {found}", "try again")
        time.sleep(0.0002)
