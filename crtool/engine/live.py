"""What is done with the memory of a frozen tree: it waits, it is copied at once, or it is forked and copied later.

A live checkpoint lets the target go on before its memory is written. What is small is copied while it stands still,
which takes less time than a fork; so is the little that the parent of the image does not have, where it is known what
was written since. For everything else there is a twin (:mod:`crtool.puppet.twin`).
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from crtool.engine import guardian, once
from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.guardian import Guardian
from crtool.engine.preflight import SMALL, Report
from crtool.engine.room import room_left
from crtool.engine.space import AddressSpace
from crtool.errors import CrtoolError, Obstacle, ObstacleError, TargetDied, TargetError
from crtool.image.spool import Spool
from crtool.kernel import userfault
from crtool.kernel.interruption import whole
from crtool.kernel.ranges import Ranges
from crtool.procfs import smaps as smaps_file
from crtool.procfs.error import NoSuchFile
from crtool.procfs.read import read, read_link
from crtool.puppet.hold import HeldProcess
from crtool.puppet.twin import Twin
from crtool.resources.memory import mappings
from crtool.resources.memory.frames import Common, Frames
from crtool.resources.memory.pages import ExtentRecord
from crtool.resources.memory.written import is_more_written, without_marks

__all__ = ["Live", "LiveMode", "Refused", "Unprepared", "Waiting"]

LiveMode = Literal["auto", "fork", "off"]

# Of its memory, what is copied in about the time of a fork, though it lies scattered: 3.8 us for a page, and 0.1 us for
# each page of a fork.
_LITTLE = 1 / 32
_PATIENCE = 5.0  # seconds for which a process may resist being stopped to bury its twin
_WHY = {
    errno.EAGAIN: "a limit on the number of processes is reached",
    errno.ENOMEM: "the kernel does not promise it the memory",
    errno.ENOSYS: "the kernel, or a filter, lacks a system call for it",
}


_WATCHED = re.compile(rb"\nVmFlags:[^\n]* (?:um|uw|ui)\b")


class Refused(Exception):
    """A process cannot be forked; the text says which and why."""


class Unprepared(Exception):
    """A process has to be forked for which that seemed not to be needed, so it is not known whether it can be."""


class Waiting:
    """The tree waits until everything is written: nothing is to be done beforehand."""

    def take(self, space: AddressSpace) -> None:
        """Takes no copy."""

    def keep(self, space: AddressSpace) -> None:
        """Keeps none."""


class Live:
    """The copies of a tree that goes on. At the end of the block all twins are buried, whatever happened."""

    def __init__(
        self,
        image: os.PathLike[str] | str | None,
        mode: LiveMode,
        memory: int,
        unchanged: Callable[[FrozenProcess], Ranges] | None = None,
    ) -> None:
        """*image*: in whose folder there is room; *memory*: bytes that the tree has, as far as that is known;
        *unchanged*: tells what of one who stands still is in the image's parent, and need not be copied.
        """
        self.warnings: list[str] = []
        self._special: set[int] = set()  # processes known to have memory that a fork does not carry
        self.burial_seconds = 0.0  # for which the target has been stopped once more
        self._image = image
        self._twins: list[Twin] = []
        self._unborn = False  # a twin may still be born when its parent walks home: left to the guardian
        # Two, since contents come first in the image, but last while the target stands still.
        self.contents, self.pages = Spool(image), Spool(image)
        self._guardian: Guardian | None = None  # there as soon as somebody may be forked
        self._always = mode == "fork"
        self._memory = memory
        self._unchanged = unchanged
        self._only_one_large = False  # what it shares with others is looked for among twins, and among small ones
        self._alone = False  # one process has nothing in common with others
        self._pagemaps: dict[int, int] = {}  # of those that are copied while the tree stands still
        self._frames = Frames(self._pagemaps)
        self._taken = 0
        self._is_small = False  # whether the one taken last is copied rather than forked

    def look(self, report: Report, *, surprised: bool = False) -> None:
        """Looks, once, at the mappings of processes that still run, for what a twin would not show: not where little
        seems to have been written, unless that was wrong (*surprised*).

        A fork ends the watch of a userfaultfd, or hangs in one that wants to hear of forks: ObstacleError, as for
        anybody who is watched, but Refused if the userfaultfd is one of the tree's own, as the report tells. Raises
        Refused if memory could run out, too.
        """
        pids = report.pids
        self._alone = len(pids) == 1
        self._only_one_large = report.large == 1
        if self._guardian is not None:
            return
        if not (surprised or self._always or self._seems_much(pids)):
            return
        if not self._always and (room := room_left(pids[0])) < self._memory:
            raise Refused(
                f"PID {pids[0]} is not forked ({room >> 20} MiB of memory are left, and its writes to the "
                f"{self._memory >> 20} MiB that it has might take as much)"
            )
        own = []
        for pid in pids:
            with suppress(TargetDied, TargetError):
                # What is seen while it changes may not be so.
                if _watched(pid, report.contexts) and (found := _watched(pid, report.contexts)):
                    raise ObstacleError(found)
                if report.contexts and any(area.context in report.contexts for area in userfault.areas(pid)):
                    own.append(pid)
        if own:
            raise Refused(f"PID {own[0]} is not forked (it gives out memory by a userfaultfd)")
        self._guardian = Guardian()

    @property
    def _may_do_without(self) -> bool:
        """Whether there may be no need for a twin, although there is much memory."""
        return self._unchanged is not None and self._only_one_large and not self._always

    def _seems_much(self, pids: Sequence[int]) -> bool:
        if self._may_do_without:
            return any(map(self._has_written_much, pids))
        return self._memory > SMALL

    def _has_written_much(self, pid: int) -> bool:
        """Whether somebody who runs has more to be copied than is copied in the time of a fork."""
        with suppress(TargetDied, TargetError, OSError):
            return is_more_written(pid, max(SMALL, int(self._memory * _LITTLE)))
        return False

    @property
    def twins(self) -> frozenset[int]:
        """The PIDs of the twins that live."""
        return frozenset(twin.tid for twin in self._twins)

    def start_again(self, special: int | None = None) -> None:
        """Forgets all copies, for another attempt, that knows about process *special*."""
        if special is not None:
            self._special.add(special)
        self.bury()
        self._forget()
        for spool in (self.contents, self.pages):
            spool.close()
        self.contents, self.pages = Spool(self._image), Spool(self._image)

    def take(self, space: AddressSpace) -> None:
        """Makes a twin that holds the memory of a process that stands still, unless there is little to copy.

        Raises Refused, and Unprepared.
        """
        held, size = space.process.held, space.process.status.own_memory
        assert held is not None
        self._taken += 1
        self._is_small = not self._always and (size <= SMALL or self._has_little(space, size))
        if self._is_small:
            return
        if self._guardian is None:
            raise Unprepared
        _require_own_namespaces(space)
        try:
            twin = self._fork(held, self._guardian)
        except TargetDied as error:
            raise Refused(f"PID {space.pid} cannot be forked (PID {error.pid}, its twin, was killed)") from None
        except OSError as error:
            why = _WHY.get(error.errno or 0, error.strerror)
            raise Refused(f"PID {space.pid} cannot be forked ({why})") from None
        space.take_over(twin, self.pages, special=space.pid in self._special)

    def _has_little(self, space: AddressSpace, size: int) -> bool:
        """Whether there is little to copy of one with *size* bytes of memory, since the parent has the rest."""
        if self._guardian is not None or self._unchanged is None or not self._may_do_without:
            return False
        unchanged = self._unchanged(space.process)
        return bool(unchanged) and space.look(unchanged) <= max(SMALL, int(size * _LITTLE))

    def keep(self, space: AddressSpace) -> None:
        """Copies the memory of one that is small, now that nothing of crtool's is in it: no way home on a stack."""
        if self._is_small:
            space.keep(self.pages, None if self._alone or space.is_known else self._seen)

    def _seen(self, space: AddressSpace, extents: Sequence[ExtentRecord]) -> list[Common]:
        """What of *space*, the last that was taken, is in the spool already."""
        number = self._taken - 1
        self._pagemaps[number] = once.pagemap(space.process.door)
        return self._frames.sift(number, extents)

    def _forget(self) -> None:
        for fd in self._pagemaps.values():
            os.close(fd)
        self._pagemaps.clear()
        self._frames = Frames(self._pagemaps)
        self._taken = 0

    @whole
    def _fork(self, held: HeldProcess, witness: Guardian) -> Twin:
        """A twin, which is known from its birth on."""
        witness.expect(held)
        try:
            twin = Twin.of(held)
        finally:
            self._unborn |= held.in_call
        self._twins.append(twin)
        return twin

    def mourn(self, pid: int) -> None:
        """Raises TargetError if it was a twin that has ended as *pid*."""
        for twin in self._twins:
            if twin.tid == pid:
                raise TargetError(
                    f"PID {pid}, the twin of PID {twin.owner} that was being written, was killed",
                    "if memory was short, do without it: --live=off",
                ) from None

    def bury(self) -> None:
        """Ends all twins and lets their parents wait for them."""
        for twin in self._twins:
            twin.kill()
        for twin in self._twins:
            # The kernel takes down its memory first, while the target runs.
            twin.await_death()
            start = time.monotonic()
            try:
                guardian.bury(twin.owner, [twin.tid], _PATIENCE)
            except TargetDied:
                pass
            except CrtoolError as error:
                self.warnings.append(
                    f"PID {twin.tid}, the twin of PID {twin.owner}, stays as a zombie until that ends: {error.message}"
                )
            self.burial_seconds = max(self.burial_seconds, time.monotonic() - start)
        self._twins.clear()

    def close(self) -> None:
        """Buries all twins."""
        try:
            self.bury()
            if self._guardian is not None and not self._unborn:
                self._guardian.dismiss()
        finally:
            self._forget()
            self.contents.close()
            self.pages.close()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _watched(pid: int, contexts: frozenset[int]) -> list[Obstacle]:
    """The mappings of a process that runs for which somebody else than *contexts* waits at a userfaultfd."""
    text = read(pid, "smaps")
    if not _WATCHED.search(text):
        return []
    smaps = without_marks(pid, smaps_file.parse(text))
    own = {area.start for area in userfault.areas(pid) if area.context in contexts} if contexts else set()
    flags = [entry.flags - mappings.WATCHED if entry.mapping.start in own else entry.flags for entry in smaps]
    return mappings.obstacles(pid, [entry.mapping for entry in smaps], flags)


def _require_own_namespaces(space: AddressSpace) -> None:
    """Refused if a child would be born into another namespace: as its first process it would decide its fate."""
    for kind in ("pid", "time"):
        if f"{kind}_for_children" not in os.listdir("/proc/self/ns"):
            continue  # a kernel without that kind of namespace
        own = read_link(space.process.door, f"ns/{kind}")
        try:
            childrens = read_link(space.process.door, f"ns/{kind}_for_children")
        except NoSuchFile:
            childrens = b""  # a new one, of which nobody has been born yet
        if own != childrens:
            raise Refused(f"PID {space.pid} cannot be forked (its children get a {kind} namespace of their own)")
