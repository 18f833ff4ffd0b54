"""A child that writes all the time, and knows what every page of its memory has to be."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .harness.processes import Deadline, all_ended

__all__ = ["PAGES", "writer"]

PAGES = 1024
_SIZE = 4096
_SHARED = 64  # pages


class _Book:
    """Pages with a number and a body made of it, and a table with the number that each must have."""

    def __init__(self) -> None:
        self.pages = mmap.mmap(-1, PAGES * _SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.shared = mmap.mmap(-1, _SHARED * _SIZE)
        self.table = [0] * (PAGES + _SHARED)
        self.count = 0
        for index in range(PAGES + _SHARED):
            self.write(index)

    def _at(self, index: int) -> tuple[mmap.mmap, int]:
        return (self.pages, index * _SIZE) if index < PAGES else (self.shared, (index - PAGES) * _SIZE)

    def write(self, index: int) -> None:
        """Gives page *index* the next number."""
        self.count += 1
        memory, at = self._at(index)
        memory[at : at + _SIZE] = self._body(index, self.count)
        self.table[index] = self.count

    @staticmethod
    def _body(index: int, count: int) -> bytes:
        return random.Random(index * 1_000_003 + count).randbytes(64) * (_SIZE // 64)

    def is_right(self) -> bool:
        """Whether every page is as it must be."""
        for index, count in enumerate(self.table):
            memory, at = self._at(index)
            if memory[at : at + _SIZE] != self._body(index, count):
                return False
        return True


def _run(ready: int) -> None:
    os.setsid()
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    book = _Book()
    os.write(ready, b"!")
    os.closerange(0, 4096)
    chosen = random.Random(5)
    while not asked:
        for _ in range(20):
            book.write(chosen.randrange(PAGES + _SHARED))
        time.sleep(0.002)
    os._exit(0 if book.is_right() else 1)


@contextmanager
def writer() -> Iterator[int]:
    """The PID of such a child, without descriptors. Told by SIGTERM it ends: with 0 if all its memory is right."""
    with all_ended():
        reader, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                _run(ready)
            finally:
                os._exit(2)
        os.close(ready)
        try:
            assert os.read(reader, 1) == b"!"
        finally:
            os.close(reader)
        Deadline(30, "the child to write").wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 0)
        yield pid
