"""Pipes and FIFOs whose other end is held by somebody outside the tree.

The kernel keeps no list of who has an end of a pipe open; /proc/PID/fd of every process is one. It is only looked
through for pipes of which the tree has one kind of end alone: all others are whole without anybody else.

Such a pipe is refused: the other end would not be there at a restart. A standard stream may be replaced, if the user
says so (``files/inherited.py``). If nobody at all has the other end, the
pipe comes back as it is, half open.

Not handled: a writer outside of a pipe that has writers in the tree too (its reader would not notice).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator

from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.procfs import fdinfo as fdinfo_file
from crtool.procfs.read import entries, read, stat_of
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["PipeEnds"]

STREAMS = range(3)  # standard input, output and error

_Key = tuple[int, int]  # st_dev, st_ino


@dataclass(frozen=True)
class _Place:
    """Where in the tree an end is open."""

    pid: int
    fd: int
    fifo: str  # its path, "" for a pipe


def _kinds(flags: int) -> frozenset[str]:
    mode = flags & os.O_ACCMODE
    return frozenset({os.O_RDONLY: ("reading",), os.O_WRONLY: ("writing",)}.get(mode, ("reading", "writing")))


class PipeEnds:
    """The ends of pipes that a tree has open."""

    def __init__(self) -> None:
        self._kinds: dict[_Key, frozenset[str]] = {}
        self._places: dict[_Key, list[_Place]] = {}

    def add(self, file: OpenFile) -> None:
        """Takes note of one end; anything but a pipe or FIFO is passed over."""
        if not stat.S_ISFIFO(file.stat.st_mode) or file.flags & os.O_PATH:
            return
        key = (file.stat.st_dev, file.stat.st_ino)
        self._kinds[key] = self._kinds.get(key, frozenset()) | _kinds(file.flags)
        fifo = "" if file.link.startswith(b"pipe:[") else file.shown
        self._places.setdefault(key, []).append(_Place(file.pid, file.fd, fifo))

    def inherited(self, tree: Collection[int]) -> dict[tuple[int, int], int]:
        """Of the pipes whose other end lies outside *tree*, those that are a standard stream of somebody in it: its
        number, by device and inode.
        """
        found = {}
        for key in self._outside(tree):
            streams = [place.fd for place in self._places[key] if place.fd < len(STREAMS)]
            if streams:
                found[key] = min(streams)
        return found

    def obstacles(
        self, tree: Collection[int], name_of: Callable[[int], str], allowed: Collection[tuple[int, int]] = ()
    ) -> Iterator[Obstacle]:
        """One for each descriptor of the tree whose pipe has its other end outside *tree* and is not *allowed*."""
        for key, pid in self._outside(tree).items():
            if key in allowed:
                continue
            other = "reading" if "writing" in self._kinds[key] else "writing"
            for place in self._places[key]:
                what = f"the FIFO {place.fifo}, whose" if place.fifo else "a pipe whose"
                remedy = "checkpoint a parent of both, or redirect it to a file"
                if place.fd < len(STREAMS):
                    remedy += ", or let --stdio inherit replace it by that of the restart"
                yield Obstacle(
                    place.pid,
                    f"fd {place.fd}",
                    f"{what} {other} end PID {pid} ({name_of(pid)}) holds, which is not in the tree",
                    remedy,
                )

    def _outside(self, tree: Collection[int]) -> dict[_Key, int]:
        """The pipes whose other end is held outside *tree*, and by whom."""
        halves = {key: kinds for key, kinds in self._kinds.items() if len(kinds) == 1}
        holders: dict[_Key, int] = {}
        for pid in _others(tree) if halves else ():
            for key, kinds in _ends_of(pid, halves):
                if kinds - halves[key]:
                    holders.setdefault(key, pid)
        return holders


def _others(tree: Collection[int]) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (pid := int(name)) not in tree and pid != os.getpid():
            yield pid


def _ends_of(pid: int, wanted: Collection[_Key]) -> Iterator[tuple[_Key, frozenset[str]]]:
    """The ends of *wanted* pipes that process *pid* has open; nothing if crtool may not look."""
    try:
        for name in entries(pid, "fd"):
            found = stat_of(pid, f"fd/{name}")
            if stat.S_ISFIFO(found.st_mode) and (key := (found.st_dev, found.st_ino)) in wanted:
                yield key, _kinds(fdinfo_file.parse(read(pid, f"fdinfo/{name}")).flags)
    except (TargetDied, TargetError, OSError):
        return
