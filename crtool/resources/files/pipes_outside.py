"""Pipes and FIFOs whose other end is held by somebody outside the tree.

Others are only looked at (:mod:`.outside`) for pipes of which the tree has one kind of end alone: all others are whole
without anybody else. Who has an end of those as well is named in a warning (:mod:`.held_outside`): a reader in the tree
would not notice a writer outside.

Such a pipe is refused: the other end would not be there at a restart. A standard stream may be replaced, if the user
says so (``files/inherited.py``). If nobody at all has the other end, the
pipe comes back as it is, half open.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress

from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.procfs import fdinfo as fdinfo_file
from crtool.procfs.read import read, stat_of
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.outside import Holder, Outside
from crtool.tree.walk import name_of

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

    def inherited(self, outside: Outside) -> dict[tuple[int, int], int]:
        """Of the pipes whose other end lies outside, those that are a standard stream of somebody in the tree: its
        number, by device and inode.
        """
        found = {}
        for key in self._halves(outside):
            streams = [place.fd for place in self._places[key] if place.fd < len(STREAMS)]
            if streams:
                found[key] = min(streams)
        return found

    def obstacles(self, outside: Outside, allowed: Collection[tuple[int, int]] = ()) -> Iterator[Obstacle]:
        """One for each descriptor of the tree whose pipe has its other end outside and is not *allowed*."""
        for key, pid in self._halves(outside).items():
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

    def _halves(self, outside: Outside) -> dict[_Key, int]:
        """The pipes whose other end is held outside, and by whom."""
        halves = {key: kinds for key, kinds in self._kinds.items() if len(kinds) == 1}
        numbered = {b"pipe:[%d]" % key[1] for key in halves if not self._places[key][0].fifo}
        fifos = len(numbered) < len(halves)
        holders: dict[_Key, int] = {}
        for link, found in outside.files.items() if halves else ():
            for holder in found if link in numbered or (fifos and link.startswith(b"/")) else ():
                with suppress(TargetDied, TargetError, OSError):  # closed meanwhile
                    key = _key_of(holder)
                    if key in halves and _kinds_of(holder) - halves[key]:
                        holders.setdefault(key, holder[0])
        return holders


def _key_of(holder: Holder) -> _Key:
    pid, fd = holder
    found = stat_of(pid, f"fd/{fd}")
    return found.st_dev, found.st_ino


def _kinds_of(holder: Holder) -> frozenset[str]:
    pid, fd = holder
    return _kinds(fdinfo_file.parse(read(pid, f"fdinfo/{fd}")).flags)
