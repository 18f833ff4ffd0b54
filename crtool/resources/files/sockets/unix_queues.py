"""What was sent to a unix socket and is not read.

The kernel keeps a queue of buffers: datagrams, or stretches of a stream; with each the descriptors in flight, who sent
it, and the sender's name. In a stream one byte may be urgent (MSG_OOB).

We look at it with MSG_PEEK, which takes nothing. Where one look does not show all, the place of the next is chosen by
SO_PEEK_OFF. That belongs to the target's socket: a *guard* (:mod:`.guard`) puts it back if crtool dies meanwhile.
Descriptors in flight come as new references.

We rebuild it by sending it again, from the other end, or from a socket of the sender's name.

Lost: where in a stretch of a stream the descriptors came that are in flight with it; a datagram without bytes behind
others, if somebody has looked at it with SO_PEEK_OFF; times of arrival; who sent it, where nobody has asked for that.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct

from crtool.abi.socket import SO_PEEK_OFF
from crtool.record import dataclass
from crtool.resources.files.sockets.guard import Guard

__all__ = ["Message", "read_queue"]

_SCM_RIGHTS, _SCM_CREDENTIALS, _SCM_PIDFD = 1, 2, 4
_UCRED = struct.Struct("<iii")
_CONTROL = 4096  # room for 253 descriptors (SCM_MAX_FD), credentials and a security label
_LOOK = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
_ROOM = 1 << 18
_SIOCATMARK = 0x8905


@dataclass(frozen=True)
class Message:
    """One message, with descriptors of our own."""

    data: bytes
    fds: tuple[int, ...]
    sender: tuple[int, int, int] | None
    source: bytes
    urgent: bool = False


def read_queue(fd: int, kind: int, length: int, shut: int, guard: Guard) -> list[Message]:
    """What *fd*, of our own, has to be read. *length*: bytes, of a stream; *shut*: directions that are shut down."""
    if not length and kind == socket.SOCK_STREAM:
        return []
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not any(event & select.POLLIN for _, event in poll.poll(0)):
        return []
    with socket.socket(fileno=os.dup(fd)) as sock:
        offset = sock.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF)
        if kind == socket.SOCK_STREAM and offset < 0:
            message = _look(sock, length)
            if message is not None and len(message.data) == length and not (message.fds or message.sender):
                return [message]
            for got in message.fds if message is not None else ():
                os.close(got)
        # An empty datagram that somebody has looked at by SO_PEEK_OFF is passed over by it, the first one too.
        first = _look(sock, 1) if kind != socket.SOCK_STREAM and offset < 0 else None
        for got in first.fds if first is not None else ():
            os.close(got)
        guard.watch(fd, [(socket.SOL_SOCKET, SO_PEEK_OFF, offset.to_bytes(4, "little", signed=True))])
        try:
            found = _walk(sock, kind, length, shut)
            if first is not None and not (first.data or first.fds or shut & 1) and (not found or found[0].data):
                found.insert(0, first)
            return found
        finally:
            sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, offset)
            guard.forget()


def _walk(sock: socket.socket, kind: int, length: int, shut: int) -> list[Message]:
    urgent = _urgent(sock) if kind == socket.SOCK_STREAM else b""
    at_mark = bool(urgent) and bool(struct.unpack("<i", fcntl.ioctl(sock.fileno(), _SIOCATMARK, b"\0" * 4))[0])
    found: list[Message] = []
    done, room = 0, _ROOM
    while True:
        sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, done)
        message = _look(sock, room)
        if message is None:
            break
        if len(message.data) == room:
            for fd in message.fds:
                os.close(fd)
            room *= 4
            continue
        if not message.data and (kind == socket.SOCK_STREAM or (shut & 1 and done >= length)):
            break
        found.append(message)
        done += len(message.data)
    return _with_urgent(found, urgent, at_mark)


def _with_urgent(found: list[Message], urgent: bytes, at_mark: bool) -> list[Message]:
    """Looking stops in front of the urgent byte the first time, passes it over where it is the first of all, and shows
    it like any other behind that.
    """
    if not urgent:
        return found
    byte = Message(urgent, (), None, b"", urgent=True)
    if at_mark:
        return [byte, *found]
    for number, message in enumerate(found[1:], 1):
        if message.data.startswith(urgent) and not found[number - 1].fds:
            rest = Message(message.data[1:], message.fds, message.sender, b"")
            return [*found[:number], byte, *([rest] if rest.data or rest.fds else []), *found[number + 1 :]]
    return found


def _urgent(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1, socket.MSG_OOB | socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""


def _look(sock: socket.socket, room: int) -> Message | None:
    try:
        try:
            data, control, _, source = sock.recvmsg(room, _CONTROL, _LOOK)
        except ConnectionResetError:  # of the other end, which has gone: it is told once, before what is unread
            data, control, _, source = sock.recvmsg(room, _CONTROL, _LOOK)
    except BlockingIOError:
        return None
    fds: list[int] = []
    sender = None
    for level, kind, raw in control:
        if level != socket.SOL_SOCKET:
            continue
        numbers = struct.unpack(f"<{len(raw) // 4}i", raw[: len(raw) // 4 * 4])
        if kind == _SCM_RIGHTS:
            fds += numbers
        elif kind == _SCM_CREDENTIALS:
            pid, uid, gid = _UCRED.unpack(raw)
            sender = (pid, uid, gid)
        elif kind == _SCM_PIDFD and numbers[0] >= 0:
            os.close(numbers[0])
    name = os.fsencode(source) if isinstance(source, str) else source or b""
    return Message(data, tuple(fds), sender, name)
