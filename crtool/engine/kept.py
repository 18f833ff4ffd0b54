"""Pages of an address space that were copied to the spool while its process stood still."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from crtool.errors import InternalError
from crtool.image.spool import Spool
from crtool.resources.memory.pages import ExtentRecord, PageSink

__all__ = ["Kept", "pour"]


class Kept:
    """The pages of *extents*, in the order of their addresses, from *position* of *spool* on."""

    def __init__(self, spool: Spool, position: int, extents: tuple[ExtentRecord, ...]) -> None:
        self.extents = extents
        self._spool = spool
        self._starts = [extent.start for extent in extents]
        self._positions = [*accumulate((extent.length for extent in extents), initial=position)]

    def __contains__(self, address: int) -> bool:
        number = self._number(address)
        return number >= 0 and address < self._starts[number] + self.extents[number].length

    def read(self, address: int, view: memoryview) -> int:
        """Fills *view* with what is at *address*, all of it kept; returns how much has come in one piece."""
        number = self._number(address)
        left = self._starts[number] + self.extents[number].length - address
        return self._spool.read_at(self._position(address), view[:left])

    def pour(self, extent: ExtentRecord, sink: PageSink) -> None:
        """Brings *extent*, all of which has been kept, to *sink*."""
        number = self._number(extent.start)
        if extent.start + extent.length > self._starts[number] + self.extents[number].length:
            raise InternalError(f"of the pages at {extent.start:#x} only a part has been copied")
        pour(self._spool, self._position(extent.start), extent.length, sink)

    def _number(self, address: int) -> int:
        return bisect_right(self._starts, address) - 1

    def _position(self, address: int) -> int:
        number = self._number(address)
        return self._positions[number] + address - self._starts[number]


def pour(spool: Spool, position: int, nbytes: int, sink: PageSink) -> None:
    """Brings *nbytes* from *position* of *spool* on to *sink*."""
    while nbytes:
        got = spool.read_at(position, sink.buffer()[:nbytes])
        if not got:
            raise InternalError(f"{nbytes} bytes of copied pages are not in the spool")
        sink.submit(got)
        position, nbytes = position + got, nbytes - got
