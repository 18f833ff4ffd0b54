"""What changed between two images: processes, descriptors, mappings, and how many pages of each mapping."""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from xxhash import xxh3_128_digest

from crtool.arch import cpu
from crtool.engine.contents import Run, cut, loads
from crtool.engine.news import Watch, of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.results import Change, ImageDifference, MappingSummary, ProcessSummary
from crtool.engine.show import summary_of
from crtool.errors import UsageError
from crtool.image.keys import Keys
from crtool.image.reader import ImageReader
from crtool.image.whole import open_whole

__all__ = ["diff"]

_BUFFER = 1 << 20  # bytes that are compared at once
_ZERO = xxh3_128_digest(bytes(cpu.PAGE_SIZE))

Thing = TypeVar("Thing")


def diff(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    progress: Watch | None = None,
    keys: Keys | None = None,
) -> ImageDifference:
    """Compares two images (paths or URLs), process by process: those with the same PID belong together.

    Both are verified first: damage is no difference. Raises NotFound, ImageError, UsageError (a pipe).
    """
    fetching = of_stage(progress, "fetching")
    with open_whole(before, fetching, keys) as old, open_whole(after, fetching, keys) as new:
        for reader in (old, new):
            if reader.is_stream:
                raise UsageError(f"{reader.name}: a pipe cannot be compared", "save the image to a file first")
        for reader in (old, new):
            reader.verify(of_stage(progress, "verifying"))
        changes: list[Change] = []
        pairs = list(_pairs(_by_pid(summary_of(old).processes), _by_pid(summary_of(new).processes)))
        sides = _Side(old), _Side(new)
        comparing = _Comparing(progress, sum(m.saved_bytes for _, _, side in pairs if side for m in side.mappings))
        for pid, first, second in pairs:
            if first is None or second is None:
                shown = _command(first or second)
                changes.append(Change(pid, "process", "went" if second is None else "came", shown))
            else:
                changes += _process(first, second, *sides, comparing)
        return ImageDifference(
            str(before), str(after), tuple(changes), sum(change.pages for change in changes if change.thing == "pages")
        )


def _by_pid(processes: Sequence[ProcessSummary]) -> dict[int, ProcessSummary]:
    return {process.pid: process for process in processes}


def _pairs(before: Mapping[int, Thing], after: Mapping[int, Thing]) -> Iterator[tuple[int, Thing | None, Thing | None]]:
    for key in sorted({*before, *after}):
        yield key, before.get(key), after.get(key)


def _command(process: ProcessSummary | None) -> str:
    return "" if process is None else " ".join(process.cmdline) or process.comm


def _process(
    before: ProcessSummary, after: ProcessSummary, old: _Side, new: _Side, comparing: _Comparing
) -> Iterator[Change]:
    pid = after.pid
    facts = (
        ("program", before.exe, after.exe),
        ("parent", str(before.ppid), str(after.ppid)),
        ("state", before.state, after.state),
        ("threads", str(before.threads), str(after.threads)),
    )
    for name, first, second in facts:
        if first != second:
            yield Change(pid, "process", "changed", name, first, second)
    descriptors = _pairs(
        {found.fd: f"{found.kind} {found.detail}".rstrip() for found in before.descriptors},
        {found.fd: f"{found.kind} {found.detail}".rstrip() for found in after.descriptors},
    )
    yield from _changes(pid, "descriptor", ((f"fd {fd}", first, second) for fd, first, second in descriptors))
    mappings = list(_pairs({m.start: m for m in before.mappings}, {m.start: m for m in after.mappings}))
    yield from _changes(pid, "mapping", ((f"{at:x}", _shown(first), _shown(second)) for at, first, second in mappings))
    first_runs, second_runs = old.runs(pid), new.runs(pid)
    for _, first_mapping, mapping in mappings:
        if first_mapping is None or mapping is None:
            continue
        end = min(first_mapping.end, mapping.end)
        pages = _changed_pages(old, first_runs, new, second_runs, mapping.start, end)
        if pages:
            yield Change(pid, "pages", "changed", f"{mapping.start:x}-{end:x} {mapping.name}".rstrip(), pages=pages)
        comparing.done(mapping)


def _changes(pid: int, thing: str, found: Iterator[tuple[str, str | None, str | None]]) -> Iterator[Change]:
    for name, first, second in found:
        if first != second:
            change = "came" if first is None else "went" if second is None else "changed"
            yield Change(pid, thing, change, name, first or "", second or "")


def _shown(mapping: MappingSummary | None) -> str | None:
    if mapping is None:
        return None
    return f"{mapping.start:x}-{mapping.end:x} {mapping.permissions} {mapping.name}".rstrip()


# -- pages -------------------------------------------------------------------------------------------------


class _Comparing:
    """How far the comparison of pages is: in bytes of the second image, mapping by mapping."""

    def __init__(self, watch: Watch | None, total: int) -> None:
        self._tell = of_stage(watch, "comparing")
        self._total = total
        self._done = 0

    def done(self, mapping: MappingSummary) -> None:
        """*mapping* has been compared."""
        self._done += mapping.saved_bytes
        if self._tell is not None:
            self._tell(self._done, self._total)


class _Side:
    """The data of one of the two images."""

    def __init__(self, reader: ImageReader) -> None:
        self._reader = reader
        self._snapshot = read_snapshot(reader)
        self._view = memoryview(mmap.mmap(-1, _BUFFER))

    def runs(self, pid: int) -> list[Run]:
        """Where the memory of process *pid* is; what a file still has is left out."""
        (process,) = [found for found in self._snapshot.processes if found.pids[0] == pid]
        if process.memory < 0:
            return []
        parts = loads(self._snapshot.memories[process.memory], self._snapshot.files.inodes)
        return sorted((run for part in parts for run in part.runs), key=lambda run: run.start)

    def digests(self, data: int | None, length: int) -> list[bytes]:
        """One for each page from offset *data* on; None stands for zeros."""
        if data is None:
            return [_ZERO] * (length // cpu.PAGE_SIZE)
        view = self._view[:length]
        self._reader.read_at(data, view)
        return [xxh3_128_digest(view[at : at + cpu.PAGE_SIZE]) for at in range(0, length, cpu.PAGE_SIZE)]


def _changed_pages(old: _Side, first: list[Run], new: _Side, second: list[Run], start: int, end: int) -> int:
    inside = list(cut(_near(first, start, end), start, end)), list(cut(_near(second, start, end), start, end))
    edges = sorted({edge for runs in inside for run in runs for edge in (run.start, run.start + run.length)})
    changed = 0
    for at, stop in pairwise(edges):
        here, there = (next(iter(cut(_near(runs, at, stop), at, stop)), None) for runs in inside)
        if here is None or there is None:
            # A page of a file that one of them has written to.
            changed += (stop - at) // cpu.PAGE_SIZE if here or there else 0
        elif here.data is not None or there.data is not None:
            changed += _compared(old, here, new, there)
    return changed


def _near(runs: list[Run], start: int, end: int) -> list[Run]:
    first = max(bisect_right(runs, start, key=lambda run: run.start) - 1, 0)
    return runs[first : bisect_right(runs, end, key=lambda run: run.start)]


def _compared(old: _Side, here: Run, new: _Side, there: Run) -> int:
    changed = 0
    for step in range(0, here.length, _BUFFER):
        length = min(_BUFFER, here.length - step)
        first = old.digests(None if here.data is None else here.data + step, length)
        second = new.digests(None if there.data is None else there.data + step, length)
        changed += sum(one != another for one, another in zip(first, second, strict=True))
    return changed
