"""Reading connections in repair mode, by a process that outlives crtool.

What a connection has sent, and its sequence numbers, are shown in repair mode only. A connection that goes on must
never be left in that mode: it would send nothing any more. The program itself may not have the right to set it. So a
child of crtool's, the *keeper*, does it: nothing reaches it but SIGKILL, and if crtool dies it ends with the connection
that it is reading. If the keeper dies, crtool takes the connections out of that mode.

The kernel lets the program go when crtool is dead, and a call for a connection that is in repair mode fails then. So a
connection is in it for less time than a process takes to die, some tenths of a millisecond at the least: everything
that can be is done before or after, once beforehand with a socket of the keeper's own, so that its memory is there, and
nobody but real-time processes may take the CPU away meanwhile.

Repair mode forgets SO_REUSEADDR, and peeking moves SO_PEEK_OFF: the keeper puts both back.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from crtool.abi import socket as socket_abi
from crtool.abi import tcp as abi
from crtool.abi.fcntl import MFD_CLOEXEC
from crtool.abi.socket import SIOCINQ, SIOCOUTQ, SOL_SOCKET, SOL_TCP
from crtool.abi.tcp import State
from crtool.errors import InternalError, TargetDied
from crtool.kernel import memfd, sockets, tcp
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.record import dataclass

__all__ = ["Reading", "read_all"]

_HEAD = struct.Struct("<iB12I")
_ATTEMPTS = 100  # at a connection into which something arrives while it is read
_PARTLY_ACKED = 1 << 16  # bytes at the head of a send queue that may have been acknowledged already


class _Numbers(NamedTuple):
    """The state of a connection at a moment: two sequence numbers, and how many bytes its queues hold."""

    state: State
    rcv_next: int
    snd_next: int
    unread: int
    unacked: int
    unsent: int


@dataclass(frozen=True)
class Reading:
    """What a connection holds. Sequence numbers do not count a FIN."""

    error: int  # errno if it cannot be read, else 0
    state: State
    rcv_next: int  # sequence number of the byte behind the last that was received
    snd_next: int  # of the byte behind the last that was written
    unsent: int  # bytes at the end of *sent* that have never been sent
    mss: int  # what the other end can take, bytes
    window: tuple[int, int, int, int, int]  # struct tcp_repair_window
    timestamp: int  # of this end's clock, with the bit for microseconds
    received: bytes  # not read yet
    sent: bytes  # not acknowledged yet


def read_all(fds: Sequence[int]) -> list[Reading]:
    """The readings of connections, by descriptors of our own."""
    if not fds:
        return []
    switches = [_switches(fd) for fd in fds]
    result = memfd.create(b"connections", MFD_CLOEXEC)
    crtool = os.getpid()
    try:
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _keep(fds, switches, result, crtool)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _, status = os.waitpid(pid, 0)
        if status:
            for fd, switch in zip(fds, switches, strict=True):
                with suppress(OSError):
                    _leave(fd, switch)
            raise InternalError(f"connections could not be read: the keeper ended with wait status {status:#x}")
        with open(result, "rb", closefd=False) as file:
            file.seek(0)
            return [_parse(file.read(_HEAD.size), file.read) for _ in fds]
    finally:
        os.close(result)


def _switches(fd: int) -> tuple[int, int]:
    """What reading changes and has to be put back: SO_REUSEADDR, SO_PEEK_OFF."""
    try:
        offset = sockets.integer(fd, SOL_SOCKET, socket_abi.SO_PEEK_OFF)
    except OSError:  # before 6.9 TCP has none
        offset = -1
    return sockets.integer(fd, SOL_SOCKET, socket_abi.SO_REUSEADDR), offset


def _keep(fds: Sequence[int], switches: Sequence[tuple[int, int]], result: int, crtool: int) -> None:
    """The life of the keeper."""
    status = 1
    try:
        os.setsid()
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        room = bytearray(b"\1") * _PARTLY_ACKED  # not zeros: memory is there
        with sockets.opened(socket_abi.AF_INET, socket_abi.SOCK_STREAM, socket.IPPROTO_TCP) as own:
            _read(own, _switches(own), room)
            _is_dying(crtool)
        for fd, switch in zip(fds, switches, strict=True):
            if _is_dying(crtool):
                return
            view = memoryview(_read(fd, switch, room))
            while view:
                view = view[os.write(result, view) :]
        status = 0
    finally:
        os._exit(status)


def _is_dying(pid: int) -> bool:
    """Whether SIGKILL has been sent to a process, or it is on its way to an end already."""
    try:
        status = status_file.later(read(pid, "status"))
        killed = (status.pending | status.shared_pending) >> signal.SIGKILL - 1 & 1
        return bool(killed or stat_file.parse(read(pid, "stat")).flags & stat_file.PF_EXITING)
    except TargetDied:
        return True


def _read(fd: int, switch: tuple[int, int], room: bytearray) -> bytes:
    """What goes to crtool of one connection. *room*: for what was sent and not acknowledged; grows if need be."""
    try:
        for _ in range(_ATTEMPTS):
            try:
                if switch[1] >= 0:
                    sockets.setsockopt(fd, SOL_SOCKET, socket_abi.SO_PEEK_OFF, -1)
                received = tcp.peek(fd, tcp.queue_length(fd, SIOCINQ))
                room.extend(b"\1" * (tcp.queue_length(fd, SIOCOUTQ) + _PARTLY_ACKED - len(room)))
                tcp.repair(fd, abi.REPAIR_ON)
                before = _numbers(fd)
                length = tcp.peek_into(fd, room)
                others = _others(fd)
                after = _numbers(fd)
            finally:
                _leave(fd, switch)
            if before == after and before.unread == len(received):  # else something has arrived meanwhile
                return _packed(before, received, bytes(memoryview(room)[:length]), others)
    except OSError as error:
        return _HEAD.pack(error.errno or errno.EIO, State.CLOSE, *(0,) * 12)
    return _HEAD.pack(errno.EAGAIN, State.CLOSE, *(0,) * 12)


def _leave(fd: int, switch: tuple[int, int]) -> None:
    reuse, offset = switch
    with suppress(PermissionError):  # who may not take it out, has not put it in
        tcp.repair(fd, abi.REPAIR_OFF_NO_WP)
    sockets.setsockopt(fd, SOL_SOCKET, socket_abi.SO_REUSEADDR, reuse)
    if offset >= 0:
        sockets.setsockopt(fd, SOL_SOCKET, socket_abi.SO_PEEK_OFF, offset)


def _others(fd: int) -> tuple[bytes, int, int]:
    """In repair mode: struct tcp_repair_window, the size of segments that was agreed on, and the clock."""
    window = sockets.getsockopt(fd, SOL_TCP, abi.TCP_REPAIR_WINDOW, abi.REPAIR_WINDOW.size)
    mss = sockets.integer(fd, SOL_TCP, abi.TCP_MAXSEG)
    return window, mss, sockets.integer(fd, SOL_TCP, abi.TCP_TIMESTAMP) & 0xFFFF_FFFF


def _packed(numbers: _Numbers, received: bytes, sent: bytes, others: tuple[bytes, int, int]) -> bytes:
    """What goes to crtool. *sent* may begin with bytes that have been acknowledged already."""
    state, rcv_next, snd_next, _, unacked, unsent = numbers
    window, mss, timestamp = others
    # A FIN of ours is the last in the queue, and has a number but no byte.
    fin = state in (State.FIN_WAIT1, State.CLOSING, State.LAST_ACK)
    length = max(unacked - fin, 0)
    sent = sent[-length:] if length else b""
    error = 0 if len(sent) == length else errno.ENODATA
    rcv_next -= state in (State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK)
    snd_next -= fin or state is State.FIN_WAIT2
    head = _HEAD.pack(
        error, state, rcv_next & 0xFFFF_FFFF, snd_next & 0xFFFF_FFFF, min(unsent, length), mss,
        *abi.REPAIR_WINDOW.unpack(window), timestamp, len(received), len(sent),
    )  # fmt: skip
    return head + received + sent


def _numbers(fd: int) -> _Numbers:
    """In repair mode; the queue of what was sent is chosen afterwards."""
    state = tcp.info(fd).state
    tcp.select_queue(fd, abi.RECV_QUEUE)
    rcv_next = sockets.integer(fd, SOL_TCP, abi.TCP_QUEUE_SEQ)
    tcp.select_queue(fd, abi.SEND_QUEUE)
    snd_next = sockets.integer(fd, SOL_TCP, abi.TCP_QUEUE_SEQ)
    unread, unacked, unsent = (tcp.queue_length(fd, request) for request in (SIOCINQ, SIOCOUTQ, abi.SIOCOUTQNSD))
    return _Numbers(state, rcv_next & 0xFFFF_FFFF, snd_next & 0xFFFF_FFFF, unread, unacked, unsent)


def _parse(head: bytes, read: Callable[[int], bytes]) -> Reading:
    error, state, rcv_next, snd_next, unsent, mss, *rest = _HEAD.unpack(head)
    received, sent = read(rest[6]), read(rest[7])
    window = (rest[0], rest[1], rest[2], rest[3], rest[4])
    return Reading(error, State(state), rcv_next, snd_next, unsent, mss, window, rest[5], received, sent)
