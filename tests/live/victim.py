"""A child with much memory, for checkpoints of what is large."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crtool.engine.diff import diff
from crtool.engine.results import Change
from crtool.kernel.syscall import memory_address, syscall
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

from .harness.processes import Deadline, all_ended

__all__ = ["HIDDEN", "changed", "sleeper", "victim"]

HIDDEN = 1 << 20
"""Bytes, 9 MiB from the beginning, that the child may not read itself."""


@contextmanager
def sleeper(prepare: Callable[[], object]) -> Iterator[int]:
    """A child of this process without any descriptors, that sleeps after *prepare*, whose result it keeps.

    In the end it is ended, as what has come back from an image of it, which may have another number.
    """
    with all_ended():
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                kept = prepare()
                os.write(writer, b"!")
                os.closerange(0, 4096)
                while kept is not None:
                    signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        try:
            assert os.read(reader, 1) == b"!"
        finally:
            os.close(reader)
        Deadline(30, "the child to sleep").wait_until(lambda: stat_file.parse(read(pid, "stat")).state == "S")
        yield pid


@contextmanager
def victim(mib: int = 24, prelude: Callable[[mmap.mmap], None] = lambda memory: None) -> Iterator[int]:
    """A child with *mib* MiB that nobody could compress, which sleeps after *prelude*, without descriptors."""

    def prepare() -> mmap.mmap:
        os.setsid()
        memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, mib << 20, 1 << 20):
            memory[at : at + (1 << 20)] = os.urandom(1 << 20)
        if mib > 9:
            syscall("mprotect", memory_address(memoryview(memory)) + (9 << 20), HIDDEN, 0)
        prelude(memory)
        return memory

    with sleeper(prepare) as pid:
        yield pid


def changed(before: str, after: str) -> list[Change]:
    """What has changed in large mappings. A small one of the C library tells on which CPU the program runs (rseq)."""
    pages = [change for change in diff(before, after).changes if change.thing == "pages"]
    return [change for change in pages if _size(change.name) >= 1 << 20]


def _size(name: str) -> int:
    start, end = (int(word, 16) for word in name.split(maxsplit=1)[0].split("-"))
    return end - start
