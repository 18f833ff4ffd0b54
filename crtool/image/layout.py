"""Places in the data area, given out while the records are made.

The records stand before the data in the file, so where each piece of data will be has to be known before the first
byte of it is written. Offsets count from the beginning of the data area, because where that is depends on how
long the records get. Every segment begins at a multiple of the page size, so that it can be mapped; the
writer fills the rest of its last page with zero bytes (:meth:`crtool.image.writer.ImageWriter.pad`).
"""

from __future__ import annotations

from crtool.image.datamap import OWN, Columns, DataMap, Origin, Table
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
        self._table = Table()
        self._origins: dict[Origin, int] = {}  # with their numbers
        self._length = 0
        self._settled = self._own = 0  # up to where the table goes, and how much of that is stored

    @property
    def length(self) -> int:
        """The length of the data area so far, bytes; a multiple of the page size."""
        return self._length

    @property
    def stored(self) -> int:
        """How much of it has to be written."""
        return self._length - self._settled + self._own

    def reserve(self, nbytes: int) -> Segment:
        """The next *nbytes* of the data area, from a page boundary on."""
        segment = Segment(self._length, nbytes)
        self._length += -(-nbytes // self._page_size) * self._page_size
        return segment

    def refer(self, offset: int, nbytes: int, origin: Origin, there: int) -> None:
        """The *nbytes* (whole pages) from *offset* of the data area on are at *there* of what *origin* stores.

        To be called in the order of the offsets.
        """
        if nbytes:
            self.refer_all(offset, nbytes, ((nbytes,), (self.number(origin),), (there,)))

    def number(self, origin: Origin) -> int:
        """By which :meth:`refer_all` knows *origin*, to which something has to be referred then."""
        return self._origins.setdefault(origin, len(self._origins) + 1)

    def refer_all(self, offset: int, nbytes: int, columns: Columns) -> None:
        """The *nbytes* (whole pages) from *offset* of the data area on are where *columns* say, by numbers of origins.

        To be called in the order of the offsets.
        """
        for number in (offset, nbytes, *columns[2]) if len(columns[2]) == 1 else (offset, nbytes):
            if number % self._page_size:
                raise ValueError("only whole pages can be referred to")
        if offset + nbytes > self._length or offset < self._settled:
            raise ValueError("only what is reserved can be referred to, and in order")
        self._store(self._table, offset)
        self._own += offset - self._settled
        self._table.extend(columns)
        self._settled = offset + nbytes

    def _store(self, table: Table, end: int) -> None:
        """What is not referred to before *end* is stored."""
        if self._settled < end:
            table.append(end - self._settled, OWN, self._own)

    @property
    def map(self) -> DataMap | None:
        """What is where; None if everything is to be written."""
        if not self._origins:
            return None
        table = self._table.copy()
        self._store(table, self._length)
        return DataMap(tuple(self._origins), table.pack())
