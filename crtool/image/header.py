"""The first 4096 bytes of an image: what it is, for which CPU, and how long its sections are.

Nothing else of the file is looked at before this page has been judged. Three outcomes: it is not an image; it
is one of a version or for a CPU that this crtool does not know, which is said; or it is fine, and then every
number in it is within bounds, so that sums of them cannot overflow and sections cannot overlap. Magic, version
and checksum of this page stay where they are in every future version.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from xxhash import xxh3_128, xxh3_128_digest

from crtool.errors import EnvironmentDiffers, ImageError
from crtool.image.trouble import damaged
from crtool.record import dataclass, replace

__all__ = [
    "CHUNK",
    "DIGEST",
    "FRAMED",
    "HEADER_LENGTH",
    "MAPPED",
    "SIGNED",
    "TAIL_LENGTH",
    "VERSION",
    "Header",
    "Seal",
    "judge",
]

# As PNG's: a byte above 127, both line ends and the DOS end of file, so that whatever treats the file as text is
# seen at once.
MAGIC = b"\x89CRT\r\n\x1a\n"
VERSION = 1
HEADER_LENGTH = 4096
DIGEST = 16
# What follows the chunk hashes in the trailer; see trailer.py.
TAIL_LENGTH = 64

# magic, version, flags, CPU, page size, chunk size, length of records, length of data, hash of records,
# length of the map, hash of the map
LAYOUT = struct.Struct("<8sII16sIIQQ16sQ16s")
CHECKSUM_AT = HEADER_LENGTH - DIGEST

KNOWN_CPUS = ("x86_64", "aarch64")
PAGE_SIZES = (4096, 16384, 65536)
# Large enough that hashes are 0.0004 % of the data, small enough that a damaged place is named closely.
CHUNK = 4 << 20
SMALLEST_CHUNK, LARGEST_CHUNK = 65536, 1 << 30
# off_t: no file is longer. Each of the three lengths stays below a quarter of it, so that all sums do too.
LONGEST = 1 << 61
# The flags that are defined: the data area consists of frames, which may be compressed; there is a map, which says
# what of the data area is in other images; hashes of the data are SHA-256, which cannot be forged, and header and
# trailer have signatures.
FRAMED = 1
MAPPED = 2
SIGNED = 4
FRAME_ENTRY = 8  # bytes of the trailer for each frame, beside its hash
STRONG_DIGEST = 32
# Hash of records and map, public key and signature of a signed image. The signature is of all before it.
SEAL = struct.Struct("<32s32s64s")
SEAL_AT = LAYOUT.size
SIGNATURE_AT = SEAL_AT + 64
SIGNATURE = 64
LARGEST_FRAME = 16 << 20


@dataclass(frozen=True)
class Seal:
    """What the header of a signed image has in addition."""

    content_hash: bytes  # SHA-256 of records and map, without padding
    public: bytes  # the key
    signature: bytes  # of the page up to here; empty while it is made


@dataclass(frozen=True)
class Header:
    """What the header page says. Lengths and offsets in bytes."""

    cpu: str  # as uname(2) names the machine
    page_size: int  # of the machine that wrote it; sections are aligned to it
    records_length: int  # without padding
    data_length: int  # a multiple of the page size
    records_hash: bytes  # xxh3_128 of the records, without padding
    chunk_size: int = CHUNK  # of the data area, per hash
    flags: int = 0  # FRAMED, MAPPED, SIGNED; an unknown one is refused
    version: int = VERSION
    map_length: int = 0  # without padding
    map_hash: bytes = bytes(DIGEST)  # xxh3_128 of the map, without padding
    stored: int = -1  # length of the data area in the file, for a framed image; known at its end
    seal: Seal | None = None  # of a signed image

    @property
    def map_offset(self) -> int:
        """Where the map begins: after the records, at a multiple of the page size."""
        return self._aligned(HEADER_LENGTH + self.records_length)

    @property
    def data_offset(self) -> int:
        """Where the data area begins: after the map, at a multiple of the page size."""
        return self._aligned(self.map_offset + self.map_length)

    def _aligned(self, offset: int) -> int:
        return -(-offset // self.page_size) * self.page_size

    @property
    def trailer_offset(self) -> int:
        """Where the trailer begins: right after the data area."""
        return self.data_offset + (self.stored if self.framed else self.data_length)

    @property
    def framed(self) -> bool:
        """Whether the data area is a sequence of frames, each of which stands for one chunk."""
        return bool(self.flags & FRAMED)

    @property
    def mapped(self) -> bool:
        """Whether there is a map (:mod:`crtool.image.datamap`)."""
        return bool(self.flags & MAPPED)

    @property
    def signed(self) -> bool:
        """Whether hashes are such that cannot be forged, and signatures are there."""
        return bool(self.flags & SIGNED)

    @property
    def new_hash(self) -> Callable[[], Any]:
        """Makes a hash for a chunk, or a frame."""
        return sha256 if self.signed else xxh3_128

    @property
    def digest(self) -> int:
        """Its length, bytes."""
        return STRONG_DIGEST if self.signed else DIGEST

    @property
    def entry(self) -> int:
        """Bytes of the trailer for each chunk."""
        return self.digest + (FRAME_ENTRY if self.framed else 0)

    @property
    def chunks(self) -> int:
        """How many chunks the data area has; the last one may be shorter."""
        return -(-self.data_length // self.chunk_size)

    def chunk_length(self, number: int) -> int:
        """Bytes of the data area in chunk *number*."""
        return min(self.chunk_size, self.data_length - number * self.chunk_size)

    @property
    def trailer_length(self) -> int:
        """One hash for each chunk, or an entry for each frame, the signature if there is one, and the tail."""
        return self.chunks * self.entry + (SIGNATURE if self.signed else 0) + TAIL_LENGTH

    @property
    def file_length(self) -> int:
        """The length of the whole file."""
        return self.trailer_offset + self.trailer_length

    def section(self, offset: int) -> str:
        """The name of the section in which the byte at *offset* of the file lies."""
        if offset < HEADER_LENGTH:
            return "header"
        if offset < self.map_offset:
            return "records"
        if offset < self.data_offset:
            return "map"
        if self.framed and self.stored < 0:
            return f"data, bytes from {offset} on"
        if offset < self.trailer_offset:
            return f"data, bytes {offset}–{self.trailer_offset - 1}"
        return "trailer"

    def pack(self) -> bytes:
        """The header page."""
        fields = LAYOUT.pack(
            MAGIC,
            self.version,
            self.flags,
            self.cpu.encode("ascii"),
            self.page_size,
            self.chunk_size,
            self.records_length,
            self.data_length,
            self.records_hash,
            self.map_length,
            self.map_hash,
        )
        if self.seal is not None:
            fields += SEAL.pack(self.seal.content_hash, self.seal.public, self.seal.signature)
        page = fields + bytes(CHECKSUM_AT - len(fields))
        return page + xxh3_128_digest(page)

    def require_cpu(self, machine: str, page_size: int, name: str) -> None:
        """EnvironmentDiffers unless the image *name* can run on a *machine* with pages of *page_size*."""
        if self.cpu != machine:
            raise EnvironmentDiffers(
                f"{name}: the image was made on {self.cpu}, and this machine is {machine}",
                f"restart it on a machine with a CPU of the kind {self.cpu}",
            )
        if self.page_size != page_size:
            raise EnvironmentDiffers(
                f"{name}: the image has pages of {self.page_size} bytes, and this kernel has {page_size}",
                "restart it under a kernel with the same page size",
            )


def judge(page: bytes, name: str) -> Header:
    """The header of the image called *name*, whose first bytes (up to 4096) are *page*; ImageError with the reason."""
    if not page:
        raise ImageError(f"{name}: the file is empty, and no image", "see the name of the image")
    magic = page[: len(MAGIC)]
    if magic != MAGIC[: len(magic)]:
        raise ImageError(f"{name}: not an image of crtool", "see the name; crtool checkpoint writes images")
    if len(page) < HEADER_LENGTH:
        raise damaged(name, "header", f"the file ends after {len(page)} bytes")
    if xxh3_128_digest(page[:CHECKSUM_AT]) != page[CHECKSUM_AT:]:
        raise damaged(name, "header", "its checksum does not match")
    (
        _, version, flags, cpu, page_size, chunk_size, records_length, data_length, records_hash, map_length, map_hash,
    ) = LAYOUT.unpack_from(page)  # fmt: skip
    if version != VERSION:
        raise ImageError(
            f"{name}: the image has format version {version}, and this crtool reads version {VERSION}",
            "use the version of crtool that wrote it",
        )
    cpu_name = cpu.rstrip(b"\0")
    if cpu_name not in [known.encode() for known in KNOWN_CPUS]:
        raise ImageError(
            f"{name}: the image is for the CPU {ascii(cpu_name)[2:-1]!r}, which this crtool does not know",
            "use the version of crtool that wrote it",
        )
    if unknown := flags & ~(FRAMED | MAPPED | SIGNED):
        raise ImageError(
            f"{name}: the image needs the feature flags {unknown:#x}, which this crtool does not know",
            "use the version of crtool that wrote it",
        )
    if page_size not in PAGE_SIZES:
        raise damaged(name, "header", f"no CPU has pages of {page_size} bytes")
    if not SMALLEST_CHUNK <= chunk_size <= LARGEST_CHUNK or chunk_size & (chunk_size - 1):
        raise damaged(name, "header", f"chunks of {chunk_size} bytes are not allowed")
    if flags & FRAMED and chunk_size > LARGEST_FRAME:
        raise damaged(name, "header", f"frames of {chunk_size} bytes are not allowed")
    if max(records_length, data_length, map_length) >= LONGEST or data_length % page_size:
        raise damaged(name, "header", "the lengths of the sections are impossible")
    header = Header(cpu_name.decode(), page_size, records_length, data_length, records_hash, chunk_size)
    seal = Seal(*SEAL.unpack_from(page, SEAL_AT)) if flags & SIGNED else None
    reserved = page[SEAL_AT + (SEAL.size if seal else 0) : CHECKSUM_AT]
    if any(reserved) or (not flags & MAPPED and (map_length or any(map_hash))):
        raise damaged(name, "header", "there is something where nothing may be")
    return replace(header, flags=flags, version=version, map_length=map_length, map_hash=map_hash, seal=seal)
