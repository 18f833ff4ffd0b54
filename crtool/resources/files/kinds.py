"""The table of contents of what an open file can be: one line for each kind in each of the three functions.

A kind is a module with ``recognise``, ``dump`` and ``restore``; where some files of the kind cannot be saved, with
``obstacle``.
"""

from __future__ import annotations

from collections.abc import Callable

from crtool.errors import Obstacle
from crtool.record import dataclass
from crtool.resources.files import epoll, eventfd, pipes, regular, terminals
from crtool.resources.files.epoll import EpollRecord
from crtool.resources.files.eventfd import EventfdRecord
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.pipes import PipeEndRecord
from crtool.resources.files.pty import HungUpRecord, TerminalEndRecord
from crtool.resources.files.regular import RegularRecord

__all__ = ["DescriptionRecord", "Made", "Shared", "dump", "obstacle", "restore"]

DescriptionRecord = RegularRecord | PipeEndRecord | EventfdRecord | EpollRecord | TerminalEndRecord | HungUpRecord


@dataclass(frozen=True)
class Shared:
    """What a dump asks about things that several open files share: their index among those of the image."""

    inode: Callable[[OpenFile], int]
    pipe: Callable[[OpenFile], int]
    terminal: Callable[[OpenFile], TerminalEndRecord | HungUpRecord]  # its record


@dataclass(frozen=True)
class Made:
    """What a restore asks about things that several open files share, and that have been made before them."""

    path: Callable[[int], bytes]  # of an inode, to be opened
    shown: Callable[[int], str]  # its name, for the user
    ring: Callable[[int], tuple[int, ...]]  # of a pipe: descriptors of its ends
    terminal: Callable[[TerminalEndRecord | HungUpRecord], int]  # an end of one, opened


def obstacle(file: OpenFile) -> Obstacle | None:
    """Why *file* cannot be saved, if so."""
    where = f"fd {file.fd}"
    if regular.recognise(file):
        return regular.obstacle(file, where)
    if epoll.recognise(file):
        return epoll.obstacle(file, where)
    if terminals.recognise(file):
        return terminals.obstacle(file, where)
    if pipes.recognise(file) or eventfd.recognise(file):
        return None
    return Obstacle(file.pid, where, f"{file.shown} cannot be saved", "close it first")


def dump(file: OpenFile, shared: Shared) -> DescriptionRecord:
    """The record of *file*, for which :func:`obstacle` has found none."""
    if regular.recognise(file):
        return regular.dump(file, shared.inode(file))
    if pipes.recognise(file):
        return pipes.dump_end(file, shared.pipe(file))
    if eventfd.recognise(file):
        return eventfd.dump(file)
    if epoll.recognise(file):
        return epoll.dump(file)
    if terminals.recognise(file):
        return shared.terminal(file)
    raise ValueError(file.link)


def restore(record: DescriptionRecord, made: Made) -> int:
    """A new descriptor, in this process, like the recorded one."""
    match record:
        case RegularRecord():
            return regular.restore(record, made.path(record.inode), made.shown(record.inode))
        case PipeEndRecord():
            return pipes.open_end(record, made.ring(record.pipe))
        case EventfdRecord():
            return eventfd.restore(record)
        case EpollRecord():
            return epoll.restore(record)
        case TerminalEndRecord() | HungUpRecord():
            return made.terminal(record)
