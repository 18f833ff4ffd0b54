"""The image on which a new one builds: what it has already is referred to, and not written again.

Its pages are compared, byte by byte, with those at the same addresses of the process with the same number. So no hash
decides, and it does not matter what has happened since: a parent that has little in common only saves little.

The parent is verified before anybody is stopped, since what refers to a damaged image is worth nothing.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from crtool.arch import cpu
from crtool.engine.comparison import Comparison, Part
from crtool.engine.contents import saved_runs
from crtool.engine.frozen_process import FrozenProcess
from crtool.engine.news import Watch, of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.tracker import Tracker, Version, version
from crtool.errors import UsageError
from crtool.image.datamap import Origin
from crtool.image.keys import Keys, Lock
from crtool.image.layout import DataLayout
from crtool.image.reader import ImageReader
from crtool.image.trouble import is_url
from crtool.kernel.ranges import Ranges, common
from crtool.resources.memory.pages import ExtentRecord
from crtool.resources.memory.zeros import Read

__all__ = ["Parent"]


class Parent:
    """A parent that is whole. As a context manager it is closed."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        progress: Watch | None = None,
        keys: Keys | None = None,
        known: set[Version] | None = None,
    ) -> None:
        """NotFound, ImageError (damaged, or one that it refers to is gone), UsageError (no file).

        *known*: of images that need not be verified again; grows by those that are.
        """
        if is_url(path):
            raise UsageError(f"{os.fspath(path)}: a parent is a file of this machine", "give a copy of it here")
        self.same = 0  # bytes that need not be written
        self._depth = 0
        self._tracker: Tracker | None = None
        self._hurry: Callable[[], None] = lambda: None
        self._unchanged: dict[int, Ranges] = {}  # by PID
        self._reader = ImageReader.open(path, keys=keys)
        try:
            if self._reader.is_stream:
                raise UsageError(f"{self._reader.name}: a parent is a file, no pipe", "save the image to a file first")
            self._reader.info.require_cpu(cpu.NAME, cpu.PAGE_SIZE, self._reader.name)
            self._reader.require_packages()
            snapshot = read_snapshot(self._reader)
            holders = self._reader, *self._reader.ancestors()
            versions = {version(holder.root, os.fstat(holder.fileno())) for holder in holders}
            known = set() if known is None else known
            whole = {each[0] for each in versions & known}
            self._reader.verify(of_stage(progress, "verifying"), whole)
            known |= versions
        except BaseException:
            self._reader.close()
            raise
        self._memories = {
            process.pids[0]: snapshot.memories[process.memory] for process in snapshot.processes if process.memory >= 0
        }
        self._comparison = Comparison(self._reader.read_at)

    def require_apart(self, output: str | os.PathLike[str] | int | None) -> None:
        """UsageError if the new image would take the place of its parent, or of one that this refers to."""
        if isinstance(output, int) or output is None or not os.path.exists(output):
            return
        for holder in (self._reader, *self._reader.ancestors()):
            if os.path.samestat(os.stat(output), os.fstat(holder.fileno())):
                raise UsageError(
                    f"{os.fspath(output)}: an image cannot replace its own parent", "give it another name with -o"
                )

    def require_as_secret(self, lock: Lock | None) -> None:
        """UsageError if what the new image takes from an encrypted one would be told by its own records."""
        for holder in (self._reader, *self._reader.ancestors()):
            if holder.is_encrypted and (lock is None or not lock.encrypts):
                raise UsageError(
                    f"{holder.name}: the parent is encrypted, and what builds on it would not be",
                    "encrypt it too: --encrypt-to FILE, or by the passphrase; or leave --parent out",
                )

    def begin(self, depth: int, tracker: Tracker | None = None) -> None:
        """A new image begins, for the first time or once more, and nobody has been looked at for it. *depth*: how many
        levels of PID namespaces its numbers are below crtool's; *tracker* knows what need not be compared.
        """
        self.same = 0
        self._tracker = tracker
        self._depth = depth
        self._hurry = lambda: None
        self._unchanged.clear()

    def heed(self, hurry: Callable[[], None]) -> None:
        """*hurry* is called now and then from now on, and may raise."""
        self._hurry = hurry

    def unchanged(self, process: FrozenProcess) -> Ranges:
        """What it has of *process* that nobody has written to since, and need not be read at all."""
        pid = process.status.ns_pid[self._depth]
        found = self._unchanged.get(pid)
        if found is None:
            known = () if self._tracker is None else self._tracker.unchanged(process, self._reader.root)
            memory = self._memories.get(pid) if known else None
            runs = () if memory is None else saved_runs(memory)
            found = self._unchanged[pid] = common(known, [(run.start, run.start + run.length) for run in runs])
        return found

    def changed(
        self,
        process: FrozenProcess,
        extents: Sequence[ExtentRecord],
        read: Read,
        layout: DataLayout,
        data: int,
    ) -> tuple[ExtentRecord, ...]:
        """What of *extents* has to be written; *layout* is told where the rest is. No extent of it crosses a border of
        *extents*, on whose sides different places may have the memory.

        *read*: the memory of *process*; *data*: where in the data area *extents* are.
        """
        pid = process.status.ns_pid[self._depth]
        rest: list[list[int]] = []
        numbers: dict[int, int] = {}  # of origins in *layout*, by those of the parent
        borders = {extent.start for extent in extents}
        offset = data
        unchanged = self.unchanged(process)
        parts = self._parts(pid, extents, unchanged)
        for start, length, old in self._comparison.verdicts(parts, read, self._hurry, tracked=bool(unchanged)):
            if old >= 0:
                self._refer(layout, offset, length, old, numbers)
                self.same += length
            elif rest and rest[-1][1] == start and start not in borders:
                rest[-1][1] = start + length
            else:
                rest.append([start, start + length])
            offset += length
        return tuple(ExtentRecord(start, end - start) for start, end in rest)

    def _refer(self, layout: DataLayout, at: int, length: int, old: int, numbers: dict[int, int]) -> None:
        """Tells *layout* that the *length* bytes at its offset *at* are those at *old* of the parent."""
        lengths, images, offsets = self._reader.cut(old, length)
        for image in images if len(images) == 1 else set(images):
            if image not in numbers:
                holder = self._reader.holder(image)
                numbers[image] = layout.number(Origin(holder.root, holder.path))
        layout.refer_all(at, length, (lengths, array("Q", map(numbers.__getitem__, images)), offsets))

    def _parts(self, pid: int, extents: Sequence[ExtentRecord], unchanged: Ranges) -> Iterator[Part]:
        """*extents* in parts of which each is unchanged, or to be compared, or not in the parent."""
        memory = self._memories.get(pid)
        known = [] if memory is None else saved_runs(memory)
        starts = [run.start for run in known]
        for extent in extents:
            at, end = extent.start, extent.start + extent.length
            number = max(bisect_right(starts, at) - 1, 0)
            while at < end:
                while number < len(known) and starts[number] + known[number].length <= at:
                    number += 1
                if number == len(known) or starts[number] >= end:
                    yield at, end - at, -1, False
                    break
                if at < starts[number]:
                    yield at, starts[number] - at, -1, False
                    at = starts[number]
                stop = min(end, starts[number] + known[number].length)
                yield from _divided(at, stop, (known[number].data or 0) + at - starts[number], unchanged)
                at = stop

    def close(self) -> None:
        """Closes the image."""
        self._reader.close()

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _divided(start: int, end: int, old: int, unchanged: Ranges) -> Iterator[Part]:
    """*start*…*end*, which is at *old* in the parent, in parts that are unchanged, or to be compared."""
    at = start
    number = bisect_right(unchanged, (start,))
    number -= number > 0 and unchanged[number - 1][1] > start
    while number < len(unchanged) and unchanged[number][0] < end:
        first, last = max(at, unchanged[number][0]), min(end, unchanged[number][1])
        if at < first:
            yield at, first - at, old + at - start, True
        yield first, last - first, old + first - start, False
        at = last
        number += 1
    if at < end:
        yield at, end - at, old + at - start, True
