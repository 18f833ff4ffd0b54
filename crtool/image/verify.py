"""Checking the data area of an image file at the speed of the disk, or of memory if it is cached."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from itertools import count
from threading import Thread

from crtool.image.frames import Frames
from crtool.image.header import Header
from crtool.image.pipeline import BUFFER_SIZE
from crtool.image.source import FileSource
from crtool.kernel.interruption import start

__all__ = ["Checking", "Progress", "damaged_chunks"]

# Called with the bytes done and the bytes in all.
Progress = Callable[[int, int], None]

# Two threads are faster than one because copying from the page cache costs more than hashing; more only help on
# disks that this one has not seen.
THREADS = 2
# How many chunks the kernel is asked to read ahead, as the two threads together do not look sequential to it.
AHEAD = 4
# Seconds between two words about how far it is.
PATIENCE = 0.1


def damaged_chunks(source: FileSource, header: Header, frames: Frames, progress: Progress | None = None) -> list[int]:
    """The numbers of the chunks of the data area that do not have the hash they should, in order.

    *progress* is called in this thread. Whatever a thread raises (CrtoolError for an unreadable disk) is raised here.
    """
    numbers = count()
    threads = min(THREADS, os.cpu_count() or 1, header.chunks)
    tallies = [Tally() for _ in range(threads)]
    helpers = [
        Thread(target=check, args=(source, header, frames, numbers, tally), daemon=True) for tally in tallies[1:]
    ]
    for helper in helpers:
        start(helper)
    if tallies:

        def report() -> None:
            if progress:
                progress(sum(tally.done for tally in tallies), header.data_length)

        check(source, header, frames, numbers, tallies[0], report)
    for helper in helpers:
        helper.join()
    for tally in tallies:
        tally.raise_error()
    if progress:
        progress(header.data_length, header.data_length)
    return sorted(number for tally in tallies for number in tally.damaged)


class Checking:
    """The same in one other thread, while this one is at something else. As a context manager it ends the thread."""

    def __init__(self, source: FileSource, header: Header, frames: Frames) -> None:
        self._tally = Tally()
        self._header = header
        self._stopped = False
        self._thread = Thread(target=check, args=(source, header, frames, self._numbers(), self._tally), daemon=True)

    def start(self) -> None:
        """Sets to work. The process must not fork from here on to the end: a child would lack the thread."""
        start(self._thread)

    def damaged(self, progress: Progress | None = None) -> list[int]:
        """Waits; the numbers of the damaged chunks."""
        while self._thread.is_alive():
            self._thread.join(PATIENCE)
            if progress:
                progress(self._tally.done, self._header.data_length)
        self._tally.raise_error()
        return sorted(self._tally.damaged)

    def _numbers(self) -> Iterator[int]:
        for number in range(self._header.chunks):
            if self._stopped:
                return
            yield number

    def __enter__(self) -> Checking:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped = True
        if self._thread.is_alive():
            self._thread.join()


class Tally:
    """What one thread has found."""

    def __init__(self) -> None:
        self.done = 0
        self.damaged: list[int] = []
        self.error: BaseException | None = None

    def raise_error(self) -> None:
        """Raises it, if there is one, and forgets it: with what it has been through it would keep this alive."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error


def check(
    source: FileSource,
    header: Header,
    frames: Frames,
    numbers: Iterator[int],
    tally: Tally,
    report: Callable[[], None] | None = None,
) -> None:
    """Takes chunk after chunk from *numbers*, which the threads share, and looks at each."""
    try:
        buffer = memoryview(mmap.mmap(-1, BUFFER_SIZE))
        for number in numbers:
            if number >= header.chunks:
                break
            offset, length = frames.place(number)
            os.posix_fadvise(source.fd, offset, AHEAD * header.chunk_size, os.POSIX_FADV_WILLNEED)
            if chunk_digest(source, offset, length, buffer, header) != frames.digest(number):
                tally.damaged.append(number)
            tally.done += min(header.chunk_size, header.data_length - number * header.chunk_size)
            if report:
                report()
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        tally.error = error


def chunk_digest(source: FileSource, offset: int, length: int, buffer: memoryview, header: Header) -> bytes:
    """The hash of *length* bytes of the file; of fewer if the file has been cut in the meantime."""
    hasher = header.new_hash()
    while length:
        got = source.read_at(buffer[: min(length, len(buffer))], offset)
        if not got:
            break
        hasher.update(buffer[:got])
        offset += got
        length -= got
    digest: bytes = hasher.digest()
    return digest
