"""The last bytes of an image: hashes of the data area, a root hash over everything, and the end mark.

The data area is covered chunk by chunk by xxh3_128, which is faster than memory can be read; the root is a
BLAKE2b over header page, records and map with their padding, and those hashes. It binds the sections of one
image together. The chunk hashes find every accident, but xxh3 is no cryptographic hash: that
an image was not *forged* is said by a signature, which is of the root; a signed image has SHA-256 in their place.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

from xxhash import xxh3_128_digest

from crtool.image.header import DIGEST, HEADER_LENGTH, TAIL_LENGTH, Header
from crtool.image.trouble import damaged

__all__ = ["ChunkHasher", "pack_trailer", "root_hash", "unpack_trailer"]

END_MAGIC = b"CRTend\r\n"
ROOT_LENGTH = 32
# root hash, length of the whole file, end magic, checksum of the trailer up to here
TAIL = struct.Struct(f"<{ROOT_LENGTH}sQ8s{DIGEST}s")
assert TAIL.size == TAIL_LENGTH


class ChunkHasher:
    """One hash for each chunk of a stream that comes in pieces of any size."""

    def __init__(self, header: Header) -> None:
        self._chunk_size = header.chunk_size
        self._new_hash = header.new_hash
        self._hasher = self._new_hash()
        self._filled = 0
        self._digests = bytearray()

    def update(self, view: memoryview) -> None:
        """Takes the next bytes of the stream."""
        while view:
            part = view[: self._chunk_size - self._filled]
            self._hasher.update(part)
            self._filled += len(part)
            if self._filled == self._chunk_size:
                self._end_chunk()
            view = view[len(part) :]

    def finish(self) -> bytes:
        """The hashes of all chunks one after the other; the last chunk may be shorter than the others."""
        if self._filled:
            self._end_chunk()
        return bytes(self._digests)

    def _end_chunk(self) -> None:
        self._digests += self._hasher.digest()
        self._hasher = self._new_hash()
        self._filled = 0


def root_hash(header: Header, records: bytes, packed_map: bytes, chunk_hashes: bytes) -> bytes:
    """BLAKE2b (32 bytes) over header page, records and map, each with its padding of zero bytes, and chunk hashes."""
    root = blake2b(header.pack(), digest_size=ROOT_LENGTH)
    for section, begin, end in (
        (records, HEADER_LENGTH, header.map_offset),
        (packed_map, header.map_offset, header.data_offset),
    ):
        root.update(section)
        root.update(bytes(end - begin - len(section)))
    root.update(chunk_hashes)
    return root.digest()


def pack_trailer(header: Header, root: bytes, chunk_hashes: bytes, signature: bytes = b"") -> bytes:
    """The trailer of an image."""
    tail = signature + TAIL.pack(root, header.file_length, END_MAGIC, bytes(DIGEST))[:-DIGEST]
    return chunk_hashes + tail + xxh3_128_digest(chunk_hashes + tail)


def unpack_trailer(trailer: bytes, header: Header, name: str) -> tuple[bytes, bytes, bytes]:
    """Root hash, chunk hashes, and the signature if there is one, that *trailer* holds; ImageError if it is not
    whole.
    """
    root, file_length, end_magic, checksum = TAIL.unpack(trailer[-TAIL_LENGTH:])
    if end_magic != END_MAGIC:
        raise damaged(name, "trailer", "the end mark is missing")
    if xxh3_128_digest(trailer[:-DIGEST]) != checksum:
        raise damaged(name, "trailer", "its checksum does not match")
    if file_length != header.file_length:
        raise damaged(name, "trailer", f"it says that the file has {file_length} bytes, not {header.file_length}")
    hashes = header.chunks * header.entry
    return root, trailer[:hashes], trailer[hashes:-TAIL_LENGTH]
