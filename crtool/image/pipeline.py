"""Buffers that one thread fills while a second one hashes and writes them.

Pages of a target go from process_vm_readv(2) straight into a buffer, from there into a checksum and by write(2)
into the file: they never become Python objects. All three let go of the interpreter lock, so that reading the
next buffer overlaps with writing the last one. What somebody else has written to its place in the file already
passes through as a number of bytes, and what is to be taken out of pipes as a Load.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from crtool.kernel.interruption import start

if TYPE_CHECKING:
    from crtool.image.splicer import Load

__all__ = ["BUFFER_SIZE", "PATIENCE", "Pipeline"]

# 1 MiB is where the cost of a hand-over (some 20 µs) is lost in that of copying (some 300 µs), and where a buffer
# is still in the cache of the CPU when it is hashed and written. Larger ones were slower.
BUFFER_SIZE = 1 << 20
# One being filled, one being written, two to even out.
BUFFERS = 4
# How long an abandoned writer may take to come back from a pipe that nobody reads.
PATIENCE = 2.0  # seconds


class Pipeline:
    """A first-in first-out way of bytes to *consume*, which is called with full buffers, in order, in another thread.

    The thread is started with the first buffer that gets full: a small image needs none. *pass_by* is called, in turn,
    with what needs no buffer.
    """

    def __init__(
        self, consume: Callable[[memoryview], None], pass_by: Callable[[int | Load], None] = lambda item: None
    ) -> None:
        self._consume = consume
        self._pass_by = pass_by
        # Populated now, that is before the target is frozen, and not page by page while it waits.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        memory = memoryview(mmap.mmap(-1, BUFFERS * BUFFER_SIZE, flags=flags))
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[tuple[memoryview, int] | int | Load | None] = SimpleQueue()  # buffers, filled to there
        for number in range(BUFFERS):
            self._free.put(memory[number * BUFFER_SIZE : (number + 1) * BUFFER_SIZE])
        self._current: memoryview | None = None
        self._filled = 0
        self._error: BaseException | None = None
        self._thread: Thread | None = None

    def room(self) -> memoryview:
        """The unfilled rest of the current buffer, at least one byte. Waits for a free buffer if need be."""
        if self._error:
            raise self._error
        if self._current is None:
            self._current = self._free.get()
            self._filled = 0
        return self._current[self._filled :]

    def advance(self, nbytes: int) -> None:
        """The first *nbytes* of :meth:`room` are filled; a buffer that is full is handed over."""
        if self._current is None or not 0 <= nbytes <= len(self._current) - self._filled:
            raise ValueError(f"{nbytes} bytes are more than there was room for")
        self._filled += nbytes
        if self._filled == len(self._current):
            self._hand_over()

    def skip(self, item: int | Load) -> None:
        """The next bytes are where they belong, or on their way there: hands over what has been filled before them, and
        *item*, their number or the pipes that they are in.
        """
        self.check()
        self._hand_over()
        self._full.put(item)

    def check(self) -> None:
        """Raises what *consume* has raised."""
        if self._error:
            raise self._error

    def _hand_over(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="crtool-image", daemon=True)
            start(self._thread)
        if self._current is not None:
            self._full.put((self._current, self._filled))
            self._current = None

    def flush(self) -> None:
        """Everything that was filled is consumed when this returns; raises what *consume* raised. Ends the pipeline."""
        if self._thread:
            self._full.put(None)
            self._thread.join()
            self._thread = None
        if self._error:
            raise self._error
        if self._current is not None and self._filled:
            self._consume(self._current[: self._filled])
        self._current = None

    def abandon(self) -> bool:
        """Throws away what is under way; False if *consume* hangs in a call and may still use its file descriptor."""
        if self._thread is None:
            return True
        self._error = self._error or BrokenPipeError("abandoned")
        self._full.put(None)
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()

    def _work(self) -> None:
        """The second thread: after an error it only gives buffers back, so that nobody waits for one in vain."""
        while (item := self._full.get()) is not None:
            try:
                if self._error:
                    pass
                elif not isinstance(item, tuple):
                    self._pass_by(item)
                elif item[1]:
                    self._consume(item[0][: item[1]])
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that fills
                self._error = error
            if isinstance(item, tuple):
                self._free.put(item[0])
