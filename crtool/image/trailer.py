"""The last bytes of an image: hashes of the data area, a root hash over everything, and the end mark.

The data area is covered chunk by chunk by xxh3_128, which is faster than memory can be read; the root is a
BLAKE2b over header page, records with their padding, and those hashes. It binds the sections of one
image together. The chunk hashes find every accident, but xxh3 is no cryptographic hash: that
an image was not *forged* is said by a signature, not by its root.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

from xxhash import xxh3_128, xxh3_128_digest

from crtool.image.header import DIGEST, TAIL_LENGTH, Header
from crtool.image.trouble import damaged

__all__ = ["ChunkHasher", "pack_trailer", "root_hash", "unpack_trailer"]

END_MAGIC = b"CRTend\r\n"
ROOT_LENGTH = 32
# root hash, length of the whole file, end magic, checksum of the trailer up to here
TAIL = struct.Struct(f"<{ROOT_LENGTH}sQ8s{DIGEST}s")
assert TAIL.size == TAIL_LENGTH


class ChunkHasher:
    """One xxh3_128 for each *chunk_size* bytes of a stream that comes in pieces of any size."""

    def __init__(self, chunk_size: int) -> None:
        self._chunk_size = chunk_size
        self._hasher = xxh3_128()
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
        self._hasher.reset()
        self._filled = 0


def root_hash(header_page: bytes, records: bytes, padding: int, chunk_hashes: bytes) -> bytes:
    """BLAKE2b (32 bytes) over header page, records, their padding (*padding* zero bytes) and chunk hashes."""
    root = blake2b(header_page, digest_size=ROOT_LENGTH)
    root.update(records)
    root.update(bytes(padding))
    root.update(chunk_hashes)
    return root.digest()


def pack_trailer(header: Header, root: bytes, chunk_hashes: bytes) -> bytes:
    """The trailer of an image."""
    tail = TAIL.pack(root, header.file_length, END_MAGIC, bytes(DIGEST))[:-DIGEST]
    return chunk_hashes + tail + xxh3_128_digest(chunk_hashes + tail)


def unpack_trailer(trailer: bytes, header: Header, name: str) -> tuple[bytes, bytes]:
    """The root hash and the chunk hashes that *trailer* holds; ImageError if it is not whole."""
    root, file_length, end_magic, checksum = TAIL.unpack(trailer[-TAIL_LENGTH:])
    if end_magic != END_MAGIC:
        raise damaged(name, "trailer", "the end mark is missing")
    if xxh3_128_digest(trailer[:-DIGEST]) != checksum:
        raise damaged(name, "trailer", "its checksum does not match")
    if file_length != header.file_length:
        raise damaged(name, "trailer", f"it says that the file has {file_length} bytes, not {header.file_length}")
    return root, trailer[:-TAIL_LENGTH]
