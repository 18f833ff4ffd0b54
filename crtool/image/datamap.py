"""Which bytes of the data area are in the file, and which are in another image.

Records speak of one data area without gaps. An image that has a *parent* stores a part of it only; its *map* says, run
by run, where the bytes are: in its own file, or in that of an *origin*, an image that was there before. Runs lead
straight to the file that has the bytes, however long the chain of parents is: a reader follows no chain.

An origin is known by its root hash, so neither another image under its name nor a changed one is taken for it.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate
from operator import add, or_

from crtool.errors import ImageError
from crtool.image.trouble import ANOTHER_COPY
from crtool.record import dataclass

__all__ = ["OWN", "Columns", "DataMap", "Origin", "Run", "Runs", "Table", "pack_runs"]

OWN = 0
"""The number of the image itself among those that hold its bytes; its origins follow from 1 on."""

Columns = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Lengths, images and offsets of runs: a map may have a hundred thousand."""

_FIELDS = 3  # of a run: length, number of the image, offset there
_LONGEST = 1 << 61
_ROOT_LENGTH = 32


@dataclass(frozen=True)
class Origin:
    """An image that holds bytes of another one."""

    root: bytes  # its root hash
    path: bytes  # where it was when the other one was made; absolute


@dataclass(frozen=True)
class DataMap:
    """The map, as it stands in the image."""

    origins: tuple[Origin, ...]
    runs: bytes  # of each run three u64: length, number of the image, offset in what is stored there


@dataclass(frozen=True)
class Run:
    """Bytes of the data area that follow each other in one file."""

    length: int
    image: int  # OWN, or the number of an origin
    offset: int  # among the bytes that are stored there, before they are compressed


class Runs:
    """The runs of a map, which is not trusted: ImageError if they cannot be."""

    def __init__(self, data_map: DataMap, *, page_size: int, stored: int, name: str) -> None:
        """*stored*: bytes that the image *name* itself stores."""
        fields = array("Q")
        if len(data_map.runs) % (_FIELDS * fields.itemsize):
            raise _impossible(name, "its last run is not whole")
        fields.frombytes(data_map.runs)
        if sys.byteorder == "big":
            fields.byteswap()
        self._lengths, self._images, self._offsets = (fields[step::_FIELDS] for step in range(_FIELDS))
        if any(len(origin.root) != _ROOT_LENGTH for origin in data_map.origins):
            raise _impossible(name, "a root hash has another length")
        if not all(origin.path.startswith(b"/") and b"\0" not in origin.path for origin in data_map.origins):
            raise _impossible(name, "another image has an impossible path")
        if self._images and max(self._images) > len(data_map.origins):
            raise _impossible(name, "a run is of an image that is not named")
        if not all(self._lengths) or reduce(or_, (*self._lengths, *self._offsets), 0) & (page_size - 1):
            raise _impossible(name, "a run is not of whole pages")
        self.reach = [0] * (1 + len(data_map.origins))  # by the number of the image: how much has to be stored there
        for image, end in zip(self._images, map(add, self._offsets, self._lengths), strict=True):
            if end <= self.reach[image]:
                continue
            self.reach[image] = end
        if self.reach[OWN] > stored or max(self.reach) > _LONGEST:
            raise _impossible(name, "a run goes beyond what is stored")
        self._starts = [*accumulate(self._lengths, initial=0)]
        if self.length > _LONGEST:
            raise _impossible(name, "the runs are too long")

    @property
    def length(self) -> int:
        """Bytes of the whole data area."""
        return self._starts[-1]

    def between(self, offset: int, length: int) -> Iterator[Run]:
        """Where the *length* bytes from *offset* of the data area on are; they must all be there."""
        return map(Run, *self.cut(offset, length))

    def cut(self, offset: int, length: int) -> Columns:
        """The same in columns."""
        if not length:
            return (), (), ()
        first = bisect_right(self._starts, offset) - 1
        last = bisect_left(self._starts, offset + length, first)
        skipped = offset - self._starts[first]
        if last == first + 1:  # mostly it is one
            return (length,), (self._images[first],), (self._offsets[first] + skipped,)
        lengths, images, offsets = (column[first:last] for column in (self._lengths, self._images, self._offsets))
        lengths[0] -= skipped
        offsets[0] += skipped
        lengths[-1] -= self._starts[last] - offset - length
        return lengths, images, offsets


def _impossible(name: str, why: str) -> ImageError:
    return ImageError(f"{name}: the map of the image is wrong: {why}", ANOTHER_COPY)


class Table:
    """The runs of a map that is being made; those that continue each other become one."""

    def __init__(self) -> None:
        self._columns = array("Q"), array("Q"), array("Q")

    def append(self, length: int, image: int, offset: int) -> None:
        """One more run."""
        lengths, images, offsets = self._columns
        if lengths and images[-1] == image and offsets[-1] + lengths[-1] == offset:
            lengths[-1] += length
            return
        lengths.append(length)
        images.append(image)
        offsets.append(offset)

    def extend(self, columns: Columns) -> None:
        """More runs, of which only the first can continue what is there."""
        if not columns[0]:
            return
        lengths, images, offsets = columns
        self.append(lengths[0], images[0], offsets[0])
        if len(lengths) > 1:
            for column, more in zip(self._columns, columns, strict=True):
                column.extend(more[1:])

    def copy(self) -> Table:
        """Another one with the same runs."""
        found = Table()
        found.extend(self._columns)
        return found

    def pack(self) -> bytes:
        """The bytes of all runs."""
        fields = array("Q", bytes(_FIELDS * self._columns[0].itemsize * len(self._columns[0])))
        for step, column in enumerate(self._columns):
            fields[step::_FIELDS] = column
        if sys.byteorder == "big":
            fields.byteswap()
        return fields.tobytes()


def pack_runs(runs: Iterable[Run]) -> bytes:
    """The bytes of *runs*; those that continue each other become one."""
    table = Table()
    for run in runs:
        table.append(run.length, run.image, run.offset)
    return table.pack()
