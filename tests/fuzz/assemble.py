"""Images made by hand: every checksum is right, whatever is in them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Any

import msgpack
from xxhash import xxh3_128, xxh3_128_digest

from crtool.engine.snapshot import Snapshot
from crtool.image.codec import prefix
from crtool.image.frames import HEAD
from crtool.image.header import CHECKSUM_AT, FRAMED, HEADER_LENGTH, LAYOUT, SIGNED, Header
from crtool.image.trailer import ROOT_LENGTH

__all__ = ["PAGE", "Pairs", "assemble", "framed", "packed", "resealed"]

PAGE = 4096
CHUNK = 65536


def packed(row: object) -> bytes:
    """The records section of a snapshot whose record part is *row*, which may be anything."""
    return prefix(Snapshot) + msgpack.packb(row, use_bin_type=True)


class Pairs(dict[Any, Any]):
    """A map for msgpack in which a key may come twice."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = ()) -> None:
        super().__init__()
        self.pairs = list(pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]
        """What msgpack asks for."""
        return self.pairs


def assemble(records: bytes, data: bytes = b"") -> bytes:
    """A plain image."""
    data += bytes(-len(data) % PAGE)
    header = Header("x86_64", PAGE, len(records), len(data), xxh3_128_digest(records), CHUNK)
    hashes = b"".join(xxh3_128_digest(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK))
    return _whole(header.pack(), records, data, hashes, header)


def framed(records: bytes, frames: list[tuple[int, bytes]], length: int) -> bytes:
    """An image whose data area of *length* bytes is stored as *frames*: codec and what is stored."""
    header = Header("x86_64", PAGE, len(records), length, xxh3_128_digest(records), CHUNK, FRAMED)
    data, index = b"", b""
    for codec, stored in frames:
        head = HEAD.pack(codec, len(stored))
        data += head + stored
        index += head + xxh3_128_digest(head + stored)
    return _whole(header.pack(), records, data, index, header)


def resealed(image: bytes) -> bytes:
    """*image* with the checksums of its header and trailer put right, as far as its header leads to them."""
    if len(image) < HEADER_LENGTH + 64:
        return image
    page = bytearray(image[:HEADER_LENGTH])
    page[CHECKSUM_AT:] = xxh3_128_digest(bytes(page[:CHECKSUM_AT]))
    fields = LAYOUT.unpack_from(page)
    page_size, length = fields[4], fields[6]
    image = bytes(page) + image[HEADER_LENGTH:]
    if page_size not in (4096, 16384, 65536) or length > len(image):
        return image
    start = -(-(HEADER_LENGTH + length) // page_size) * page_size
    chunks = -(-fields[7] // max(fields[5], 1))
    size = chunks * ((8 if fields[2] & FRAMED else 0) + (32 if fields[2] & SIGNED else 16))
    signature = 64 if fields[2] & SIGNED else 0
    begin = len(image) - 64 - signature - size
    if begin < start:
        return image
    hashes = image[begin : begin + size]
    root = _root(image[:start], hashes)
    tail = image[begin : begin + size + signature] + struct.pack(f"<{ROOT_LENGTH}sQ8s", root, len(image), b"CRTend\r\n")
    return image[:begin] + tail + xxh3_128(tail).digest()


def _whole(page: bytes, records: bytes, data: bytes, index: bytes, header: Header) -> bytes:
    padding = header.data_offset - HEADER_LENGTH - len(records)
    root = _root(page + records + bytes(padding), index)
    length = header.data_offset + len(data) + len(index) + 64
    tail = index + struct.pack(f"<{ROOT_LENGTH}sQ8s", root, length, b"CRTend\r\n")
    return page + records + bytes(padding) + data + tail + xxh3_128_digest(tail)


def _root(before_data: bytes, index: bytes) -> bytes:
    return hashlib.blake2b(before_data + index, digest_size=ROOT_LENGTH).digest()
