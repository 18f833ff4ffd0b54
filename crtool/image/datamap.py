"""Which bytes of the data area are in the file, and which are in another image.

Records speak of one data area without gaps. An image that has a *parent* stores a part of it only; its *map* says, run
by run, where the bytes are: in its own file, or in that of an *origin*, an image that was there before. Runs lead
straight to the file that has the bytes, however long the chain of parents is: a reader follows no chain.

An origin is known by its root hash, so neither another image under its name nor a changed one is taken for it.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from crtool.errors import ImageError
from crtool.image.trouble import ANOTHER_COPY
from crtool.record import dataclass

__all__ = ["OWN", "DataMap", "Origin", "Run", "Runs", "pack_runs"]

OWN = 0
"""The number of the image itself among those that hold its bytes; its origins follow from 1 on."""

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
        self.reach = [0] * (1 + len(data_map.origins))  # by the number of the image: how much has to be stored there
        for length, image, offset in zip(self._lengths, self._images, self._offsets, strict=True):
            if not length or length % page_size or offset % page_size:
                raise _impossible(name, "a run is not of whole pages")
            if offset + length > (stored if image == OWN else _LONGEST):
                raise _impossible(name, "a run goes beyond what is stored")
            self.reach[image] = max(self.reach[image], offset + length)
        self._starts = [*accumulate(self._lengths, initial=0)]
        if self.length > _LONGEST:
            raise _impossible(name, "the runs are too long")

    @property
    def length(self) -> int:
        """Bytes of the whole data area."""
        return self._starts[-1]

    def between(self, offset: int, length: int) -> Iterator[Run]:
        """Where the *length* bytes from *offset* of the data area on are; they must all be there."""
        number = bisect_right(self._starts, offset) - 1
        while length:
            skipped = offset - self._starts[number]
            part = min(length, self._lengths[number] - skipped)
            yield Run(part, self._images[number], self._offsets[number] + skipped)
            offset, length, number = offset + part, length - part, number + 1


def _impossible(name: str, why: str) -> ImageError:
    return ImageError(f"{name}: the map of the image is wrong: {why}", ANOTHER_COPY)


def pack_runs(runs: Sequence[Run]) -> bytes:
    """The bytes of *runs*; those that continue each other become one."""
    merged: list[Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last is not None and (last.image, last.offset + last.length) == (run.image, run.offset):
            merged[-1] = Run(last.length + run.length, last.image, last.offset)
        else:
            merged.append(run)
    fields = array("Q")
    for run in merged:
        fields.extend((run.length, run.image, run.offset))
    if sys.byteorder == "big":
        fields.byteswap()
    return fields.tobytes()
