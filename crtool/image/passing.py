"""What an image stores, as it comes by in order: hashed on the way, and unpacked if it is in frames."""

from __future__ import annotations

from crtool.image.compression import decompress
from crtool.image.frames import HEAD, head_is_sane
from crtool.image.header import Header
from crtool.image.source import FileSource, PipeSource, read_bytes
from crtool.image.trailer import ChunkHasher
from crtool.image.trouble import damaged

__all__ = ["Passing"]


class Passing:
    """The data area of one image, from its beginning."""

    def __init__(self, source: FileSource | PipeSource, info: Header) -> None:
        self.passed = 0  # bytes that have come by
        self._source = source
        self._info = info
        self._hasher = ChunkHasher(info)
        self._found = bytearray()  # entries of the frames that have come by
        self._frame = memoryview(b"")  # what is left of the last of them

    def read(self, view: memoryview) -> None:
        """Fills *view* with the next bytes; ImageError if the image ends before."""
        if self._info.framed:
            self._read_frames(view)
            return
        got = self._source.read_into(view)
        self._hasher.update(view[:got])
        self.passed += got
        if got < len(view):
            end = self._info.data_offset + self.passed
            raise damaged(self._source.name, self._info.section(end), f"the file ends after {end} bytes")

    def digests(self) -> bytes:
        """When all has come by: what the trailer should have of it."""
        return bytes(self._found) if self._info.framed else self._hasher.finish()

    def stored(self) -> int:
        """Bytes that the frames had in the file."""
        heads = (HEAD.unpack_from(self._found, at) for at in range(0, len(self._found), self._info.entry))
        return sum(HEAD.size + length for _, length in heads)

    def _read_frames(self, view: memoryview) -> None:
        while view:
            if not self._frame:
                self._next_frame()
            part = self._frame[: len(view)]
            view[: len(part)] = part
            self._frame = self._frame[len(part) :]
            self.passed += len(part)
            view = view[len(part) :]

    def _next_frame(self) -> None:
        name = self._source.name
        number = len(self._found) // self._info.entry
        head = read_bytes(self._source, HEAD.size)
        where = f"data, frame {number}"
        if len(head) < HEAD.size:
            raise damaged(name, where, "the image ends there")
        codec, length = HEAD.unpack(head)
        if not head_is_sane(codec, length, self._info.chunk_size):
            raise damaged(name, where, "its head is impossible")
        stored = read_bytes(self._source, length)
        hasher = self._info.new_hash()
        hasher.update(head)
        hasher.update(stored)
        self._found += head + hasher.digest()
        plain = decompress(codec, stored, self._info.chunk_length(number)) if len(stored) == length else None
        if plain is None:
            raise damaged(name, where, "it cannot be unpacked")
        self._frame = memoryview(plain)
