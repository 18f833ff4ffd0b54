"""Checking the data area of an image file at the speed of the disk, or of memory if it is cached."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from itertools import count
from threading import Thread

from xxhash import xxh3_128

from crtool.image.header import DIGEST, Header
from crtool.image.pipeline import BUFFER_SIZE
from crtool.image.source import FileSource

__all__ = ["Progress", "damaged_chunks"]

# Called with the bytes done and the bytes in all.
Progress = Callable[[int, int], None]

# Two threads are faster than one because copying from the page cache costs more than hashing; more only help on
# disks that this one has not seen.
THREADS = 2
# How many chunks the kernel is asked to read ahead, as the two threads together do not look sequential to it.
AHEAD = 4


def damaged_chunks(source: FileSource, header: Header, hashes: bytes, progress: Progress | None = None) -> list[int]:
    """The numbers of the chunks of the data area that do not have the hash they should, in order.

    *progress* is called in this thread. Whatever a thread raises (CrtoolError for an unreadable disk) is raised here.
    """
    numbers = count()
    threads = min(THREADS, os.cpu_count() or 1, header.chunks)
    tallies = [Tally() for _ in range(threads)]
    helpers = [
        Thread(target=check, args=(source, header, hashes, numbers, tally), daemon=True) for tally in tallies[1:]
    ]
    for helper in helpers:
        helper.start()
    if tallies:

        def report() -> None:
            if progress:
                progress(sum(tally.done for tally in tallies), header.data_length)

        check(source, header, hashes, numbers, tallies[0], report)
    for helper in helpers:
        helper.join()
    for tally in tallies:
        if tally.error:
            raise tally.error
    if progress:
        progress(header.data_length, header.data_length)
    return sorted(number for tally in tallies for number in tally.damaged)


class Tally:
    """What one thread has found."""

    def __init__(self) -> None:
        self.done = 0
        self.damaged: list[int] = []
        self.error: BaseException | None = None


def check(
    source: FileSource,
    header: Header,
    hashes: bytes,
    numbers: Iterator[int],
    tally: Tally,
    report: Callable[[], None] | None = None,
) -> None:
    """Takes chunk after chunk from *numbers*, which the threads share, and looks at each."""
    try:
        buffer = memoryview(mmap.mmap(-1, BUFFER_SIZE))
        for number in numbers:
            begin = number * header.chunk_size
            if begin >= header.data_length:
                break
            length = min(header.chunk_size, header.data_length - begin)
            offset = header.data_offset + begin
            os.posix_fadvise(source.fd, offset, AHEAD * header.chunk_size, os.POSIX_FADV_WILLNEED)
            if chunk_digest(source, offset, length, buffer) != hashes[number * DIGEST : (number + 1) * DIGEST]:
                tally.damaged.append(number)
            tally.done += length
            if report:
                report()
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        tally.error = error


def chunk_digest(source: FileSource, offset: int, length: int, buffer: memoryview) -> bytes:
    """The xxh3_128 of *length* bytes of the file; of fewer if the file has been cut in the meantime."""
    hasher = xxh3_128()
    while length:
        got = source.read_at(buffer[: min(length, len(buffer))], offset)
        if not got:
            break
        hasher.update(buffer[:got])
        offset += got
        length -= got
    return hasher.digest()
