"""Handing open files to puppets that are born already, and taking those that they make (unix(7), SCM_RIGHTS).

Most open files are inherited at birth. Those that can only be made later are sent through a socket that all inherit. A
task that has inherited none makes a pair of sockets, of which crtool takes one.

What a target makes for crtool comes by a socket with an abstract name, in the batch in which it is made and closed: if
crtool dies, the target makes the rest of the batch by itself, and has no open file more than before.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from crtool.kernel.process import pidfd_getfd, pidfd_open
from crtool.procfs.read import entries
from crtool.puppet.batch import Argument, Batch
from crtool.puppet.puppet import Puppet

__all__ = ["Postbox", "send", "take"]

_MOST = 128  # descriptors in one message; the kernel's SCM_MAX_FD is 253
_CMSGHDR = struct.Struct("<Qii")
_MSGHDR = struct.Struct("<QQQQQQQ")  # name, its length, iovec, their number, control, its length, flags
_IOVEC_AT, _CONTROL_AT = 16, 32
_MSG_CMSG_CLOEXEC = 0x40000000


def _receive(puppet: Puppet, inherited: int) -> tuple[int, ...]:
    """The numbers of the descriptors that come out of the socket *inherited* next."""
    batch = Batch()
    byte = batch.buffer(1)
    room = _CMSGHDR.size + 4 * _MOST
    control = batch.buffer(room)
    vector = batch.data(struct.pack("<QQ", 0, 1), {0: byte})
    message = batch.data(_MSGHDR.pack(0, 0, 0, 1, 0, room, 0), {_IOVEC_AT: vector, _CONTROL_AT: control})
    batch.call("recvmsg", inherited, message, _MSG_CMSG_CLOEXEC, label="open files")
    puppet.run(batch)
    length, _, _ = _CMSGHDR.unpack_from(control.read())
    content = control.read()[_CMSGHDR.size : length]
    return struct.unpack(f"<{len(content) // 4}i", content)


def send(puppet: Puppet, *fds: int) -> tuple[int, ...]:
    """Gives *puppet*, a process with a file table of its own, descriptors for *fds*; returns their numbers there.

    Raises OSError or RemoteCallError, and may leave a pair of sockets in that table.
    """
    import socket  # noqa: PLC0415

    batch = Batch()
    pair = batch.buffer(8)
    batch.call("socketpair", socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, 0, pair)
    puppet.run(batch)
    ours, theirs = struct.unpack("<2i", pair.read())
    pidfd = pidfd_open(puppet.pid)
    try:
        with socket.socket(fileno=pidfd_getfd(pidfd, ours)) as end:
            socket.send_fds(end, [b"!"], list(fds))
            numbers = _receive(puppet, theirs)
    finally:
        os.close(pidfd)
    if len(numbers) != len(fds):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return numbers


def take(puppet: Puppet, name: str, *args: Argument) -> int:
    """A descriptor that *puppet* makes by a system call, for us alone: it has none afterwards.

    OSError if it cannot be made or sent: ECONNREFUSED if *puppet* is in another network namespace than crtool.
    RemoteCallError if *puppet* cannot be asked.
    """
    import socket  # noqa: PLC0415

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind("")  # to an abstract name that nobody has
        ours.setblocking(False)
        address = struct.pack("<H", socket.AF_UNIX) + ours.getsockname()
        batch = Batch()
        control = batch.data(
            _CMSGHDR.pack(_CMSGHDR.size + 4, socket.SOL_SOCKET, socket.SCM_RIGHTS) + struct.pack("<i4x", _next(puppet))
        )
        vector = batch.data(struct.pack("<QQ", 0, 1), {0: batch.data(b"!")})
        message = batch.data(
            _MSGHDR.pack(0, len(address), 0, 1, 0, control.size, 0),
            {0: batch.data(address), _IOVEC_AT: vector, _CONTROL_AT: control},
        )
        made = batch.call(name, *args, must=False)
        end = batch.call("socket", socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0, must=False)
        sent = batch.call("sendmsg", end, message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, must=False)
        batch.call("close", end, must=False)
        batch.call("close", made, must=False)
        puppet.run(batch)
        for call in (made, end, sent):
            call.value  # noqa: B018 - raises OSError
        _, fds, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
        return fds[0]


def _next(puppet: Puppet) -> int:
    """The number that the next descriptor of a task gets whose other threads stand still."""
    taken = {int(number) for number in entries(puppet.pid, "fd")}
    return next(number for number in range(len(taken) + 1) if number not in taken)


class Postbox:
    """The socket. As a context manager it closes its own end; the other is *inherited*."""

    def __init__(self) -> None:
        import socket  # noqa: PLC0415

        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs = theirs.detach()  # whoever makes the postbox keeps it, and says which number it has got

    def close(self) -> None:
        """Closes our end."""
        self._ours.close()

    def hand_over(self, puppet: Puppet, inherited: int, fds: Sequence[int]) -> list[int]:
        """Gives *puppet*, which has the other end as *inherited*, descriptors for *fds*: their numbers there."""
        import socket  # noqa: PLC0415

        numbers: list[int] = []
        for first in range(0, len(fds), _MOST):
            some = fds[first : first + _MOST]
            socket.send_fds(self._ours, [b"!"], list(some))
            numbers += _receive(puppet, inherited)
        if len(numbers) != len(fds):
            raise OSError(24, f"PID {puppet.pid} has got {len(numbers)} of {len(fds)} open files", os.strerror(24))
        return numbers
