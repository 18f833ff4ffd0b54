"""Images made by hand: every checksum is right, whatever is in them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
from xxhash import xxh3_128, xxh3_128_digest

from crtool.engine.snapshot import Snapshot
from crtool.image.codec import prefix
from crtool.image.frames import HEAD
from crtool.image.header import CHECKSUM_AT, FRAMED, HEADER_LENGTH, LAYOUT, MAPPED, SIGNED, VERSION, Header
from crtool.image.trailer import ROOT_LENGTH

__all__ = ["PAGE", "Pairs", "assemble", "framed", "mapped", "packed", "resealed"]

PAGE = 4096
CHUNK = 65536

Codec = Callable[[bytes], tuple[int, bytes]]
"""Makes a frame of a chunk: the number of the codec, and what is stored."""


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


def mapped(records: bytes, data: bytes, data_map: bytes, codec: Codec | None = None) -> bytes:
    """An image that stores *data*, with *data_map* as its map; *codec* makes it one of frames."""
    data += bytes(-len(data) % PAGE)
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    hashes = xxh3_128_digest(records), xxh3_128_digest(data_map)
    flags = MAPPED | (FRAMED if codec else 0)
    header = Header("x86_64", PAGE, len(records), len(data), hashes[0], CHUNK, flags, VERSION, len(data_map), hashes[1])
    before = records + bytes(header.map_offset - HEADER_LENGTH - len(records)) + data_map
    if codec is None:
        return _whole(header.pack(), before, data, b"".join(map(xxh3_128_digest, pieces)), header)
    return _framed(before, [codec(piece) for piece in pieces], header)


def framed(records: bytes, frames: list[tuple[int, bytes]], length: int) -> bytes:
    """An image whose data area of *length* bytes is stored as *frames*: codec and what is stored."""
    header = Header("x86_64", PAGE, len(records), length, xxh3_128_digest(records), CHUNK, FRAMED)
    return _framed(records, frames, header)


def _framed(before: bytes, frames: list[tuple[int, bytes]], header: Header) -> bytes:
    data, index = b"", b""
    for codec, stored in frames:
        head = HEAD.pack(codec, len(stored))
        data += head + stored
        index += head + xxh3_128_digest(head + stored)
    return _whole(header.pack(), before, data, index, header)


def resealed(image: bytes) -> bytes:
    """*image* with the checksums of its header and trailer put right, as far as its header leads to them."""
    if len(image) < HEADER_LENGTH + 64:
        return image
    page = bytearray(image[:HEADER_LENGTH])
    page[CHECKSUM_AT:] = xxh3_128_digest(bytes(page[:CHECKSUM_AT]))
    fields = LAYOUT.unpack_from(page)
    page_size, length = fields[4], fields[6]
    image = bytes(page) + image[HEADER_LENGTH:]
    if page_size not in (4096, 16384, 65536) or length + fields[9] > len(image):
        return image
    start = -(-(HEADER_LENGTH + length) // page_size) * page_size
    start = -(-(start + fields[9]) // page_size) * page_size
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


def _whole(page: bytes, before: bytes, data: bytes, index: bytes, header: Header) -> bytes:
    """*before*: what is between the header page and the data, without the padding at its end."""
    padding = header.data_offset - HEADER_LENGTH - len(before)
    root = _root(page + before + bytes(padding), index)
    length = header.data_offset + len(data) + len(index) + 64
    tail = index + struct.pack(f"<{ROOT_LENGTH}sQ8s", root, length, b"CRTend\r\n")
    return page + before + bytes(padding) + data + tail + xxh3_128_digest(tail)


def _root(before_data: bytes, index: bytes) -> bytes:
    return hashlib.blake2b(before_data + index, digest_size=ROOT_LENGTH).digest()
