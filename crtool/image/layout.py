"""Places in the data area, given out while the records are made.

The records stand before the data in the file, so where each piece of data will be has to be known before the first
byte of it is written. Offsets count from the beginning of the data area, because where that is depends on how
long the records get. Every segment begins at a multiple of the page size, so that it can be mapped; the
writer fills the rest of its last page with zero bytes (:meth:`crtool.image.writer.ImageWriter.pad`).
"""

from __future__ import annotations

from crtool.image.datamap import OWN, DataMap, Origin, Run, pack_runs
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
    """Gives out the data area from its beginning to its end: segments are written in the order of their reservation.

    Of what is reserved, that is left out in writing which another image has already.
    """

    def __init__(self, page_size: int) -> None:
        if page_size < 1 or page_size & (page_size - 1):
            raise ValueError(f"a page size is a power of two, not {page_size}")
        self._page_size = page_size
        self._references: list[tuple[int, Run]] = []  # with the offset in the data area
        self._origins: dict[Origin, int] = {}  # with their numbers
        self._last: tuple[Origin | None, int] = (None, 0)
        self._length = self._referred = 0

    @property
    def length(self) -> int:
        """The length of the data area so far, bytes; a multiple of the page size."""
        return self._length

    @property
    def stored(self) -> int:
        """How much of it has to be written."""
        return self._length - self._referred

    def reserve(self, nbytes: int) -> Segment:
        """The next *nbytes* of the data area, from a page boundary on."""
        segment = Segment(self._length, nbytes)
        self._length += -(-nbytes // self._page_size) * self._page_size
        return segment

    def refer(self, offset: int, nbytes: int, origin: Origin, there: int) -> None:
        """The *nbytes* (whole pages) from *offset* of the data area on are at *there* of what *origin* stores.

        To be called in the order of the offsets.
        """
        if offset % self._page_size or nbytes % self._page_size or there % self._page_size:
            raise ValueError("only whole pages can be referred to")
        if offset + nbytes > self._length or (self._references and offset < self._end_of_references()):
            raise ValueError("only what is reserved can be referred to, and in order")
        last, number = self._last  # mostly it is the same again
        if origin is not last:
            number = self._origins.setdefault(origin, len(self._origins) + 1)
            self._last = origin, number
        if nbytes:
            self._references.append((offset, Run(nbytes, number, there)))
            self._referred += nbytes

    def _end_of_references(self) -> int:
        offset, run = self._references[-1]
        return offset + run.length

    @property
    def map(self) -> DataMap | None:
        """What is where; None if everything is to be written."""
        if not self._origins:
            return None
        runs: list[Run] = []
        at = stored = 0
        for offset, run in self._references:
            if at < offset:
                runs.append(Run(offset - at, OWN, stored))
                stored += offset - at
            runs.append(run)
            at = offset + run.length
        if at < self._length:
            runs.append(Run(self._length - at, OWN, stored))
        return DataMap(tuple(self._origins), pack_runs(runs))
