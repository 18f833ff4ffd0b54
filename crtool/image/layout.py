"""Places in the data area, given out while the records are made.

The records stand before the data in the file, so where each piece of data will be has to be known before the first
byte of it is written. Offsets count from the beginning of the data area, because where that is depends on how
long the records get. Every segment begins at a multiple of the page size, so that it can be mapped; the
writer fills the rest of its last page with zero bytes (:meth:`crtool.image.writer.ImageWriter.pad`).
"""

from __future__ import annotations

from crtool.record import dataclass

__all__ = ["DataLayout", "Segment"]


@dataclass(frozen=True)
class Segment:
    """A piece of the data area. It is a record, and is stored as part of others."""

    offset: int  # bytes from the beginning of the data area; a multiple of the page size
    length: int  # bytes

    def __post_init__(self) -> None:
        if self.offset < 0 or self.length < 0:
            raise ValueError("a segment cannot begin or end before the data area")

    @property
    def end(self) -> int:
        """The offset of the byte after the last one."""
        return self.offset + self.length


class DataLayout:
    """Gives out the data area from its beginning to its end: segments are written in the order of their reservation."""

    def __init__(self, page_size: int) -> None:
        if page_size < 1 or page_size & (page_size - 1):
            raise ValueError(f"a page size is a power of two, not {page_size}")
        self._page_size = page_size
        self._length = 0

    @property
    def length(self) -> int:
        """The length of the data area so far, bytes; a multiple of the page size."""
        return self._length

    def reserve(self, nbytes: int) -> Segment:
        """The next *nbytes* of the data area, from a page boundary on."""
        segment = Segment(self._length, nbytes)
        self._length += -(-nbytes // self._page_size) * self._page_size
        return segment
