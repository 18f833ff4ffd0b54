"""The table of contents of what an open file can be: a line for each kind in each function, and what is done with it.

A kind is a module with ``recognise``, ``dump`` and ``restore``; where some files of the kind cannot be saved, with
``obstacle``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from crtool.errors import Obstacle
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files import anonymous, inherited, pipes, refused, regular, terminals, uring
from crtool.resources.files.anonymous import AnonymousRecord, Around
from crtool.resources.files.inherited import InheritedRecord
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.pty import HungUpRecord, TerminalEndRecord
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.rings import Rings
from crtool.resources.files.sockets import kinds as socket_kinds
from crtool.resources.files.sockets import packet, tcp, unix
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.guard import Guard
from crtool.resources.files.sockets.identity import is_socket
from crtool.resources.files.sockets.netlink import NetlinkRecord
from crtool.resources.files.sockets.packet import PacketRecord
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.unix import UnixRecord
from crtool.resources.files.watches import Watches

__all__ = [
    "DescriptionRecord",
    "Kind",
    "Made",
    "Shared",
    "another",
    "be_ready",
    "in_order",
    "kind_of",
    "only_in_tables",
    "opened",
    "restore",
]

DescriptionRecord = (
    RegularRecord
    | PipeEndRecord
    | TerminalEndRecord
    | HungUpRecord
    | InheritedRecord
    | InetRecord
    | NetlinkRecord
    | PacketRecord
    | TcpRecord
    | AnonymousRecord
    | UnixRecord
)


@dataclass(frozen=True)
class Shared:
    """What a dump asks about things that several open files share: their index among those of the image."""

    inode: Callable[[OpenFile], int]
    pipes: Rings
    terminal: Callable[[OpenFile], TerminalEndRecord | HungUpRecord]  # its record
    puppet: Callable[[OpenFile], Puppet | None]  # the task whose descriptor it is, None if it cannot be reached by it
    tcp: Callable[[OpenFile], TcpRecord]  # its record, to be made whole when all are there
    unix: Callable[[OpenFile], UnixRecord]  # its record, without what is in flight
    guard: Guard  # puts back what is changed for a look
    lost: Callable[[OpenFile, str], None]  # to be told what of a file does not come back
    member: Callable[[OpenFile], int]  # of a message queue: the first who lives in its IPC namespace, 0 for the root's
    watches: Watches  # what is given out by userfaultfds


@dataclass(frozen=True)
class Made:
    """What a restore asks about things that several open files share, and that have been made before them."""

    path: Callable[[int, int], bytes]  # of an inode, to be opened with these flags
    shown: Callable[[int], str]  # its name, for the user
    ring: Callable[[int], tuple[int, ...]]  # of a pipe: descriptors of its ends
    terminal: Callable[[TerminalEndRecord | HungUpRecord], int]  # an end of one, opened
    tcp: Callable[[TcpRecord], int]  # a socket, made
    unix: Callable[[UnixRecord], int]  # a socket, made
    warn: Callable[[str], None]  # to be told what is not as it was


@dataclass(frozen=True)
class Kind:
    """What is to be done with open files of one kind."""

    obstacle: Callable[[OpenFile, str], Obstacle | None]  # why one cannot be saved; the text says where it is
    dump: Callable[[OpenFile, Shared], DescriptionRecord]  # the record of one that can


def _dump_refused(file: OpenFile, _shared: Shared) -> DescriptionRecord:
    raise ValueError(file.link)


_REFUSED = Kind(refused.obstacle, _dump_refused)
_REGULAR = Kind(regular.obstacle, lambda file, shared: regular.dump(file, shared.inode(file)))
_PIPE = Kind(lambda _file, _where: None, lambda file, shared: shared.pipes.end(file))
_TERMINAL = Kind(terminals.obstacle, lambda file, shared: shared.terminal(file))
_TCP = Kind(tcp.obstacle, lambda file, shared: shared.tcp(file))
_UNIX = Kind(unix.obstacle, lambda file, shared: shared.unix(file))
_SOCKET = Kind(
    socket_kinds.obstacle,
    lambda file, shared: socket_kinds.dump(file, shared.puppet, shared.guard, shared.lost, shared.inode),
)


def kind_of(file: OpenFile) -> Kind:
    """The kind that *file* is of."""
    if (kind := anonymous.kind_of(file)) is not None:
        return Kind(kind.obstacle, partial(_dump_anonymous, kind))
    if refused.recognise(file):
        return _REFUSED
    if regular.recognise(file):
        return _REGULAR
    if pipes.recognise(file):
        return _PIPE
    if terminals.recognise(file):
        return _TERMINAL
    if tcp.recognise(file):
        return _TCP
    if unix.recognise(file):
        return _UNIX
    return _SOCKET if is_socket(file) else _REFUSED


def be_ready(file: OpenFile) -> None:
    """Prepares for what will be asked of *file* when its process stands still: that would take milliseconds."""
    if regular.recognise(file):
        regular.be_ready(file)


def _dump_anonymous(kind: anonymous.Kind, file: OpenFile, shared: Shared) -> DescriptionRecord:
    return anonymous.dump(file, kind, Around(shared.inode, shared.lost, shared.member, shared.watches))


def only_in_tables(file: OpenFile) -> str | None:
    """Why *file* cannot be saved while it is in flight within a socket and nobody has a descriptor for it, if so."""
    if tcp.recognise(file):
        return "a TCP socket in flight within a unix socket cannot be saved"
    if terminals.recognise(file):
        return "a terminal in flight within a unix socket cannot be saved"
    return None


def another(record: DescriptionRecord, shared: Shared) -> Callable[[int, int], DescriptionRecord] | None:
    """What makes, of flags and position, the record of one more open file of the path of *record*, when there is
    nothing else of its own that the kernel keeps of it. None of kinds that keep more.
    """
    if isinstance(record, RegularRecord):
        return partial(regular.another, record)
    if isinstance(record, PipeEndRecord):
        ring = record.pipe
        return lambda flags, _position: shared.pipes.another(ring, flags)
    return None


def opened(record: DescriptionRecord, fd: int) -> dict[tuple[int, int], int]:
    """What can only be mapped by its own descriptor *fd*: under which inode and access mode that is to be done."""
    return uring.opened(record, fd) | packet.opened(record, fd)


def in_order(records: Sequence[DescriptionRecord]) -> list[int]:
    """The indices of *records* in the order in which they are to be made."""
    found = range(len(records))
    return sorted(found, key=lambda index: socket_kinds.place_of(records[index]))


def restore(record: DescriptionRecord, made: Made) -> int:
    """A new descriptor, in this process, like the recorded one."""
    match record:
        case RegularRecord():
            return regular.restore(record, made.path(record.inode, record.flags), made.shown(record.inode), made.warn)
        case PipeEndRecord():
            return pipes.open_end(record, made.ring(record.pipe))
        case TerminalEndRecord() | HungUpRecord():
            return made.terminal(record)
        case InheritedRecord():
            return inherited.restore(record)
        case TcpRecord():
            return made.tcp(record)
        case UnixRecord():
            return made.unix(record)
        case InetRecord() | NetlinkRecord() | PacketRecord():
            return socket_kinds.restore(record, made.warn)
    return anonymous.restore(record)
