"""A checksum of the memory of each process, the same however an image stores it: the proof that nothing is lost.

Two images of the same memory have the same ones: whether pages of zeros, or pages that processes share, are stored or
not, compressed or not, whether it was copied while the target stood still, from a fork of it, or from what came back
by a restart. Files with names are left out, but not what is private to the process of them.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator

from xxhash import xxh3_128, xxh3_128_digest

from crtool.arch import cpu
from crtool.engine.contents import Run, stored_runs
from crtool.engine.results import MemoryDigest
from crtool.engine.snapshot import Snapshot
from crtool.image.reader import ImageReader

__all__ = ["digests"]

_WINDOW = 1 << 20
_WORDS = cpu.PAGE_SIZE // 8
_ZERO_PAGE = xxh3_128_digest(bytes(cpu.PAGE_SIZE))
_ADDRESS = 8  # bytes


def digests(
    reader: ImageReader, snapshot: Snapshot, progress: Callable[[int], None] | None = None
) -> tuple[MemoryDigest, ...]:
    """One for each process that lives, in the order of the image. *progress* is told of bytes that have been read.

    A page counts with its address and its bytes, unless it is zero in memory that would read as zero anyway.
    """
    view = memoryview(mmap.mmap(-1, _WINDOW))
    known: dict[int, tuple[int, str]] = {}
    found = []
    for process in snapshot.processes:
        if process.memory < 0:
            continue
        if process.memory not in known:
            memory = snapshot.memories[process.memory]
            runs = stored_runs(memory, snapshot.files.inodes)
            known[process.memory] = _digest(reader, runs, view, progress)
        found.append(MemoryDigest(process.pids[0], *known[process.memory]))
    return tuple(found)


def _digest(
    reader: ImageReader,
    runs: Iterator[tuple[Run, bool]],
    view: memoryview,
    progress: Callable[[int], None] | None,
) -> tuple[int, str]:
    """How many bytes count, and their checksum."""
    hasher = xxh3_128()
    counted = 0
    for run, zeros_count in runs:
        assert run.data is not None
        for done in range(0, run.length, _WINDOW):
            part = view[: min(_WINDOW, run.length - done)]
            reader.read_at(run.data + done, part)
            for offset in _pages(part, zeros_count):
                hasher.update((run.start + done + offset).to_bytes(_ADDRESS, "little"))
                hasher.update(part[offset : offset + cpu.PAGE_SIZE])
                counted += cpu.PAGE_SIZE
            if progress is not None:
                progress(len(part))
    return counted, hasher.hexdigest()


def _pages(view: memoryview, zeros_count: bool) -> Iterator[int]:
    """Where in *view* the pages begin that count."""
    for number, word in enumerate(view.cast("Q")[::_WORDS].tolist()):
        offset = number * cpu.PAGE_SIZE
        if word or zeros_count or xxh3_128_digest(view[offset : offset + cpu.PAGE_SIZE]) != _ZERO_PAGE:
            yield offset
