"""Where the chunks of the data area are in the file, and what their hashes are.

In a plain image they lie one after the other, all of one size, and the trailer has a hash for each. In a *framed* image
each is a frame: a head (codec and length), then so many bytes. The trailer has codec, length and hash of each frame,
and the hash is of head and bytes, so that an image can be verified without being unpacked.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crtool.errors import ImageError
from crtool.image.compression import Codec, decompress
from crtool.image.header import Header
from crtool.image.trouble import damaged

if TYPE_CHECKING:
    from crtool.image.source import FileSource

__all__ = ["HEAD", "Frames", "head_is_sane"]

HEAD = struct.Struct("<II")  # codec, stored length


class Frames:
    """The chunks of one image, by their numbers. *index*: all of the trailer before its tail."""

    def __init__(self, header: Header, index: bytes, name: str) -> None:
        self._header = header
        self._index = index
        self._name = name
        self._unpacked: tuple[int, bytes] = (-1, b"")  # the last one
        self._offsets = array("Q")
        if header.framed:
            at = header.data_offset
            for codec, length in self._heads():
                if not head_is_sane(codec, length, header.chunk_size):
                    raise damaged(name, "trailer", "a frame is impossible")
                self._offsets.append(at)
                at += HEAD.size + length
            if at != header.trailer_offset:
                raise damaged(name, "trailer", "the frames are not as long as the data area")

    def _heads(self) -> Iterator[tuple[int, int]]:
        """Codec and stored length of each frame."""
        for at in range(0, len(self._index), self._header.entry):
            yield HEAD.unpack_from(self._index, at)

    def place(self, number: int) -> tuple[int, int]:
        """Offset in the file, and length there, of what the hash is of."""
        if self._header.framed:
            _, length = HEAD.unpack_from(self._index, number * self._header.entry)
            return self._offsets[number], HEAD.size + length
        begin = number * self._header.chunk_size
        return self._header.data_offset + begin, self._header.chunk_length(number)

    def digest(self, number: int) -> bytes:
        """The hash."""
        end = (number + 1) * self._header.entry
        return self._index[end - self._header.digest : end]

    def codecs(self) -> set[int]:
        """All ways in which frames are stored."""
        return {codec for codec, _ in self._heads()} if self._header.framed else set()

    def codec(self, number: int) -> int:
        """How a frame is stored."""
        return int(HEAD.unpack_from(self._index, number * self._header.entry)[0])

    def unpack(self, source: FileSource, number: int) -> bytes:
        """What frame *number* stands for; ImageError if that cannot be told. For any thread."""
        unpacked = self._unpacked
        if unpacked[0] != number:
            at, length = self.place(number)
            stored = bytearray(length)
            source.read_at(memoryview(stored), at)
            plain = decompress(self.codec(number), bytes(stored[HEAD.size :]), self._header.chunk_length(number))
            if plain is None:
                raise damaged(self._name, f"data, bytes {at}–{at + length - 1}", "the frame cannot be unpacked")
            unpacked = self._unpacked = (number, plain)
        return unpacked[1]

    def read(self, source: FileSource, offset: int, view: memoryview) -> None:
        """Fills *view* with what is at *offset* of what all frames stand for."""
        while view:
            number, begin = divmod(offset, self._header.chunk_size)
            part = self.unpack(source, number)[begin : begin + len(view)]
            view[: len(part)] = part
            view, offset = view[len(part) :], offset + len(part)

    def verified(self, source: FileSource, number: int) -> memoryview:
        """What chunk *number* stands for, in memory of our own: no byte of it was not hashed. ImageError if damaged."""
        at, length = self.place(number)
        stored = memoryview(bytearray(length))
        done = 0
        while done < length and (got := source.read_at(stored[done:], at + done)):
            done += got
        hasher = self._header.new_hash()
        hasher.update(stored)
        if done < length or hasher.digest() != self.digest(number):
            raise self.damage([number])
        if not self._header.framed:
            return stored
        plain = decompress(self.codec(number), bytes(stored[HEAD.size :]), self._header.chunk_length(number))
        if plain is None:
            raise self.damage([number])
        return memoryview(bytearray(plain))

    def damage(self, numbers: Sequence[int]) -> ImageError:
        """The error that names the first run of *numbers*, chunks that are damaged, and how many more there are."""
        first = last = numbers[0]
        for number in numbers[1:]:
            if number != last + 1:
                break
            last = number
        begin, _ = self.place(first)
        end = sum(self.place(last))
        rest = len(numbers) - (last - first + 1)
        more = f"; {rest} more of {self._header.chunks} chunks are damaged too" if rest else ""
        return damaged(self._name, f"data, bytes {begin}–{end - 1}", f"the checksum does not match{more}")


def head_is_sane(codec: int, length: int, frame_size: int) -> bool:
    """Whether a frame can be so: none is stored that got longer."""
    return codec in tuple(Codec) and length <= frame_size
