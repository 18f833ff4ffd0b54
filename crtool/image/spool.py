"""Bytes that are copied while a target stands still, and written to the image once it goes on.

The image wants its records first, and the time to make them is better taken when nobody waits. What is little stays in
memory; the rest goes to a nameless file in the folder of the image, or to memory of its own kind for a pipe.
"""

from __future__ import annotations

import errno
import mmap
import os

from crtool.image.place import write_all
from crtool.image.trouble import Path, cannot_write, shown

__all__ = ["Spool"]

_SIZE = 1 << 20


class Spool:
    """Filled to the end through :meth:`buffer` and :meth:`submit`, then read by position.

    As a context manager it frees what it has taken.
    """

    def __init__(self, image: Path | None) -> None:
        """*image*: in whose folder there is room for what is large; None if it has none."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        self._view = memoryview(mmap.mmap(-1, _SIZE, flags=flags))
        self._image = image
        self._used = 0  # bytes of the buffer
        self._stored = 0  # bytes in the file
        self._fd = -1

    @property
    def length(self) -> int:
        """Bytes that have been put in."""
        return self._stored + self._used

    def buffer(self) -> memoryview:
        """Memory to fill with the next bytes, at least one; valid until :meth:`submit`."""
        if self._used == _SIZE:
            if self._fd < 0:
                self._fd = self._open()
            write_all(self._fd, self._view, "the store for what is copied while the target stands still")
            self._stored += _SIZE
            self._used = 0
        return self._view[self._used :]

    def submit(self, nbytes: int) -> None:
        """The first *nbytes* of :meth:`buffer` are the next bytes."""
        self._used += nbytes

    def read_at(self, position: int, view: memoryview) -> int:
        """Fills *view* with the bytes from *position* on, as many as come in one piece; returns their number."""
        if position < self._stored:
            return os.preadv(self._fd, [view[: self._stored - position]], position)
        start = position - self._stored
        part = self._view[start : min(self._used, start + len(view))]
        view[: len(part)] = part
        return len(part)

    def _open(self) -> int:
        if self._image is not None:
            folder = os.path.dirname(os.fsencode(self._image)) or b"."
            try:
                return os.open(folder, os.O_RDWR | os.O_CLOEXEC | os.O_TMPFILE, 0o600)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                    raise cannot_write(shown(self._image), error) from error
        return os.memfd_create("crtool")

    def close(self) -> None:
        """Frees the file; nothing can be read any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
