"""The image on which a new one builds: what it has already is referred to, and not written again.

Its pages are compared, byte by byte, with those at the same addresses of the process with the same number. So no hash
decides, and it does not matter what has happened since: a parent that has little in common only saves little.

The parent is verified before anybody is stopped, since what refers to a damaged image is worth nothing.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from crtool.arch import cpu
from crtool.engine.contents import saved_runs
from crtool.engine.freeze import FrozenProcess
from crtool.engine.news import Watch, of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.tracker import Tracker
from crtool.errors import UsageError
from crtool.image.datamap import Origin
from crtool.image.keys import Keys, Lock
from crtool.image.layout import DataLayout
from crtool.image.reader import ImageReader
from crtool.image.trouble import is_url
from crtool.kernel.ranges import Ranges
from crtool.resources.memory.pages import ExtentRecord

__all__ = ["Parent", "Version"]

_WINDOW = 1 << 20  # bytes that are compared at once

Version = tuple[bytes, int, int, int, int, int]
"""Root hash of an image and, of its file, device, inode, size, and when its content and its inode were changed."""

Read = Callable[[int, memoryview], int]
"""Fills a view with the memory at an address; returns how much has come."""


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
        self._reader = ImageReader.open(path, keys=keys)
        try:
            if self._reader.is_stream:
                raise UsageError(f"{self._reader.name}: a parent is a file, no pipe", "save the image to a file first")
            self._reader.info.require_cpu(cpu.NAME, cpu.PAGE_SIZE, self._reader.name)
            self._reader.require_packages()
            snapshot = read_snapshot(self._reader)
            versions = {image.root: _version(image) for image in (self._reader, *self._reader.ancestors())}
            known = set() if known is None else known
            whole = {root for root, version in versions.items() if version in known}
            self._reader.verify(of_stage(progress, "verifying"), whole)
            known.update(versions.values())
        except BaseException:
            self._reader.close()
            raise
        self._memories = {
            process.pids[0]: snapshot.memories[process.memory] for process in snapshot.processes if process.memory >= 0
        }
        self._ours, self._theirs = bytearray(_WINDOW), bytearray(_WINDOW)

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

    def begin(self, depth: int, hurry: Callable[[], None], tracker: Tracker | None = None) -> None:
        """A new image begins, for the first time or once more. *depth*: how many levels of PID namespaces its numbers
        are below crtool's; *hurry* is called now and then, and may raise; *tracker* knows what
        need not be compared.
        """
        self.same = 0
        self._tracker = tracker
        self._depth = depth
        self._hurry = hurry

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
        unchanged = () if self._tracker is None else self._tracker.unchanged(process, self._reader.root)
        rest: list[list[int]] = []
        origins: dict[bytes, Origin] = {}  # by root hash; to ask the kernel for a path takes a while
        borders = {extent.start for extent in extents}
        offset = data
        for start, length, old in self._pieces(pid, extents, read, unchanged):
            if old < 0:
                if rest and rest[-1][1] == start and start not in borders:
                    rest[-1][1] = start + length
                else:
                    rest.append([start, start + length])
            else:
                at = offset
                for part, holder, there in self._reader.places(old, length):
                    origin = origins.get(holder.root)
                    if origin is None:
                        origin = origins[holder.root] = Origin(holder.root, holder.path)
                    layout.refer(at, part, origin, there)
                    at += part
                self.same += length
            offset += length
        return tuple(ExtentRecord(start, end - start) for start, end in rest)

    def _pieces(
        self, pid: int, extents: Sequence[ExtentRecord], read: Read, unchanged: Ranges
    ) -> Iterator[tuple[int, int, int]]:
        """*extents* in pieces: address, length, and the offset of the same bytes in the parent, or −1."""
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
                    yield at, end - at, -1
                    break
                if at < starts[number]:
                    yield at, starts[number] - at, -1
                    at = starts[number]
                length = min(end, starts[number] + known[number].length) - at
                yield from self._judged(at, length, (known[number].data or 0) + at - starts[number], read, unchanged)
                at += length

    def _judged(
        self, start: int, length: int, old: int, read: Read, unchanged: Ranges
    ) -> Iterator[tuple[int, int, int]]:
        """Takes what is *unchanged* as it is, and compares the rest."""
        at, end = start, start + length
        number = bisect_right(unchanged, (start,))
        number -= number > 0 and unchanged[number - 1][1] > start
        while number < len(unchanged) and unchanged[number][0] < end:
            first, last = max(at, unchanged[number][0]), min(end, unchanged[number][1])
            if at < first:
                yield from self._compared(at, first - at, old + at - start, read)
            self._hurry()
            yield first, last - first, old + first - start
            at = last
            number += 1
        if at < end:
            yield from self._compared(at, end - at, old + at - start, read)

    def _compared(self, start: int, length: int, old: int, read: Read) -> Iterator[tuple[int, int, int]]:
        for done in range(0, length, _WINDOW):
            self._hurry()
            size = min(_WINDOW, length - done)
            for first, last, same in self._window(start + done, old + done, size, read):
                yield start + done + first, last - first, old + done + first if same else -1

    def _window(self, start: int, old: int, size: int, read: Read) -> Iterator[tuple[int, int, bool]]:
        """Runs of pages, of *size* bytes from *start* on, that are or are not the same."""
        ours, theirs = self._ours, self._theirs
        self._reader.read_at(old, memoryview(theirs)[:size])
        done = 0
        with memoryview(ours) as view:
            while done < size and (got := read(start + done, view[done:size])) > 0:
                done += got
        if done < size:  # whoever writes it will say why
            yield 0, size, False
            return
        if size < _WINDOW:
            ours, theirs = ours[:size], theirs[:size]
        if ours == theirs:
            yield 0, size, True
            return
        first = 0
        for page in range(0, size, cpu.PAGE_SIZE):
            same = ours[page : page + cpu.PAGE_SIZE] == theirs[page : page + cpu.PAGE_SIZE]
            if page == 0:
                last_same = same
            elif same is not last_same:
                yield first, page, last_same
                first, last_same = page, same
        yield first, size, last_same

    def close(self) -> None:
        """Closes the image."""
        self._reader.close()

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _version(image: ImageReader) -> Version:
    found = os.fstat(image.fileno())
    return image.root, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
