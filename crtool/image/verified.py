"""Bytes of an image file, each verified as it is read, whatever becomes of the file meanwhile.

What is given out is a copy in memory of our own, whose checksum was compared: not the file, which somebody may cut or
overwrite while it is read.
"""

from __future__ import annotations

from collections import OrderedDict

from crtool.image.reader import ImageReader

__all__ = ["VerifiedReader"]

_KEPT = 4  # chunks: those that are read in order, and some to which reading jumps


class VerifiedReader:
    """Reads by position from a file, and from those that it refers to. ImageError if what is wanted is damaged."""

    def __init__(self, reader: ImageReader) -> None:
        self._reader = reader
        self._chunks: OrderedDict[tuple[int, int], memoryview] = OrderedDict()

    def read(self, offset: int, length: int) -> memoryview:
        """The bytes from *offset* of the data area on: at least one, at most *length* (which is not 0), writable."""
        size, image, at = next(iter(self._reader.places(offset, length)))
        number, begin = divmod(at, image.info.chunk_size)
        key = (image.fileno(), number)
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunks[key] = image.chunk(number)
            if len(self._chunks) > _KEPT:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(key)
        return chunk[begin : begin + size]
