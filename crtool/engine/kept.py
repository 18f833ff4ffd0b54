"""Pages of an address space that were copied to the spool while its process stood still."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from crtool.arch import cpu
from crtool.errors import InternalError
from crtool.image.spool import Spool
from crtool.resources.memory.pages import ExtentRecord, PageSink

__all__ = ["Kept", "pour"]

_WINDOW = 1 << 20  # bytes that are looked at together
_WORD = 8
_ZEROS = bytes(cpu.PAGE_SIZE)


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

    def pour(self, extents: Iterable[ExtentRecord], sink: PageSink) -> None:
        """Brings *extents*, all of which have been kept, to *sink*."""
        start = end = 0  # in the spool: most of them follow each other there
        for extent in extents:
            number = self._number(extent.start)
            position = self._positions[number] + extent.start - self._starts[number]
            if position + extent.length > self._positions[number + 1]:
                raise InternalError(f"of the pages at {extent.start:#x} only a part has been copied")
            if position != end:
                pour(self._spool, start, end - start, sink)
                start = position
            end = position + extent.length
        pour(self._spool, start, end - start, sink)

    def zeros(self) -> list[tuple[int, int]]:
        """Its pages of zeros, in runs."""
        found: list[tuple[int, int]] = []
        view = memoryview(bytearray(_WINDOW))
        for at, length in self._windows():
            got = 0
            while got < length:
                got += self._spool.read_at(at + got, view[got:length])
            words = view[:length].cast("Q")[:: cpu.PAGE_SIZE // _WORD].tolist()
            for number, word in enumerate(words):
                if word or bytes(view[number * cpu.PAGE_SIZE : (number + 1) * cpu.PAGE_SIZE]) != _ZEROS:
                    continue
                address = self._address(at + number * cpu.PAGE_SIZE)
                if found and found[-1][1] == address:
                    found[-1] = (found[-1][0], address + cpu.PAGE_SIZE)
                else:
                    found.append((address, address + cpu.PAGE_SIZE))
        return found

    def _windows(self) -> Iterator[tuple[int, int]]:
        first, last = self._positions[0], self._positions[-1]
        return ((at, min(_WINDOW, last - at)) for at in range(first, last, _WINDOW))

    def _address(self, position: int) -> int:
        number = bisect_right(self._positions, position) - 1
        return self._starts[number] + position - self._positions[number]

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
