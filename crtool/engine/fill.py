"""Filling the memory of a newborn, whose mappings are there, from the image.

From files the puppet reads by itself: into huge pages where it may have some, else straight to where the bytes belong.
From a pipe, or where frames have to be unpacked, crtool reads, and writes into the puppet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from crtool.engine.contents import Run
from crtool.engine.prepare import Prepared
from crtool.engine.snapshot import MemoryRecord
from crtool.errors import EnvironmentDiffers, ImageError
from crtool.image.reader import ImageReader
from crtool.image.trouble import ANOTHER_COPY
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.resources.memory import huge, pages
from crtool.resources.memory.pages import Piece

__all__ = ["fill_memory"]


def fill_memory(
    puppet: Puppet,
    prepared: Prepared,
    memory: MemoryRecord,
    fresh: Sequence[Run],
    late: Sequence[Run],
    *,
    huge_pages: bool,
) -> None:
    """Brings saved pages of *memory* to where they were: *fresh*, where nothing has been touched, and *late*.

    Both in the order of their addresses. *huge_pages*: the program does not refuse them. ImageError if the file has
    been shortened meanwhile.
    """
    runs = [*fresh, *late]
    if prepared.image.is_stream or prepared.lazy is not None:
        _through_crtool(puppet, prepared, memory, _pieces(runs))
    else:
        size = huge.page_size() if huge_pages and sum(run.length for run in fresh) >= huge.WORTH_IT else 0
        packed = _by_files(puppet, prepared, _pieces(fresh), memory, size)
        packed += _by_files(puppet, prepared, _pieces(late), memory, 0)
        _through_crtool(puppet, prepared, memory, packed)
    prepared.filled.append((memory, puppet.memory))


def _pieces(runs: Sequence[Run]) -> list[Piece]:
    """With offsets in the data area."""
    return [Piece(run.start, run.length, run.data) for run in runs if run.data is not None]


def _by_files(
    puppet: Puppet, prepared: Prepared, pieces: Sequence[Piece], memory: MemoryRecord, size: int
) -> list[Piece]:
    """Lets the puppet read *pieces*, but for those that have to be unpacked, which are returned. *size*: of huge pages,
    0 if it gets none.
    """
    plain, packed = _by_file(prepared.image, pieces)
    for image, parts in plain.items():
        _by_puppet(puppet, prepared.image_fd(image), image.name, parts, memory, size)
    return packed


def _by_file(image: ImageReader, pieces: Sequence[Piece]) -> tuple[dict[ImageReader, list[Piece]], list[Piece]]:
    """*pieces*, whose offsets are in the data area, by the files that hold them, with the offsets there; and those that
    have to be unpacked, as they are.
    """
    plain: dict[ImageReader, list[Piece]] = {}
    packed: list[Piece] = []
    for piece in pieces:
        done = 0
        for length, holder, offset in image.places(piece.offset, piece.length):
            if holder.is_plain:
                part = Piece(piece.start + done, length, holder.data_offset + offset)
                plain.setdefault(holder, []).append(part)
            else:
                packed.append(Piece(piece.start + done, length, piece.offset + done))
            done += length
    return plain, packed


def _by_puppet(puppet: Puppet, fd: int, name: str, pieces: list[Piece], memory: MemoryRecord, size: int) -> None:
    """Lets the puppet read *pieces* from the file that it has as *fd*. *size*: of huge pages, 0 if it gets none."""
    if size and sum(piece.length for piece in pieces) >= huge.WORTH_IT:
        large, pieces = huge.split(pieces, memory.mappings, size)
        if sum(piece.length for piece in large) >= huge.WORTH_IT:
            large = huge.fill(puppet, fd, large, memory.mappings, size)
        pieces = sorted((*pieces, *large), key=lambda piece: piece.start)
    batch = Batch()
    reads = pages.fill(batch, fd, pieces)
    puppet.run(batch)
    for call, expected in reads:
        if call.value != expected:
            raise ImageError(f"{name} got shorter while it was read", "use another copy of it")


def _through_crtool(puppet: Puppet, prepared: Prepared, memory: MemoryRecord, pieces: Sequence[Piece]) -> None:
    """In the order in which a stream has the bytes; those of others have come by already, and are taken from them."""
    for piece in sorted(pieces, key=lambda piece: piece.offset):
        if prepared.image.is_stream and piece.offset < memory.data:
            parts = _copied(prepared, piece)
        else:
            parts = prepared.pieces(piece.offset, piece.length)
        for at, view in parts:
            done = 0
            while done < len(view):
                done += os.pwritev(puppet.memory, [view[done:]], piece.start + at + done)


def _copied(prepared: Prepared, piece: Piece) -> Iterator[tuple[int, memoryview]]:
    """The bytes of *piece* as :meth:`Prepared.pieces` gives them, from a process that has them already."""
    memory, done = _other(prepared, piece.offset), 0
    while done < piece.length:
        view = prepared.room[: piece.length - done]
        got = os.preadv(memory, [view], piece.start + done)
        if not got:
            raise EnvironmentDiffers("a process was killed before it was restored", "restart it again")
        yield done, view[:got]
        done += got


def _other(prepared: Prepared, data: int) -> int:
    """A descriptor of the memory that has been filled with what is at *data*."""
    for memory, descriptor in prepared.filled:
        if memory.data <= data < memory.data + pages.total(memory.extents):
            return descriptor
    raise ImageError(f"{prepared.image.name}: the records want data at {data} that has come by already", ANOTHER_COPY)
