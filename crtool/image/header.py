"""The first 4096 bytes of an image: what it is, for which CPU, and how long its sections are.

Nothing else of the file is looked at before this page has been judged. Three outcomes: it is not an image; it
is one of a version or for a CPU that this crtool does not know, which is said; or it is fine, and then every
number in it is within bounds, so that sums of them cannot overflow and sections cannot overlap. Magic, version
and checksum of this page stay where they are in every future version.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from xxhash import xxh3_128_digest

from crtool.errors import EnvironmentDiffers, ImageError
from crtool.image.trouble import damaged
from crtool.record import dataclass

__all__ = ["CHUNK", "DIGEST", "HEADER_LENGTH", "TAIL_LENGTH", "VERSION", "Header", "judge"]

# As PNG's: a byte above 127, both line ends and the DOS end of file, so that whatever treats the file as text is
# seen at once.
MAGIC = b"\x89CRT\r\n\x1a\n"
VERSION = 1
HEADER_LENGTH = 4096
DIGEST = 16
# What follows the chunk hashes in the trailer; see trailer.py.
TAIL_LENGTH = 64

# magic, version, flags, CPU, page size, chunk size, length of records, length of data, hash of records
LAYOUT = struct.Struct("<8sII16sIIQQ16s")
CHECKSUM_AT = HEADER_LENGTH - DIGEST

KNOWN_CPUS = ("x86_64", "aarch64")
PAGE_SIZES = (4096, 16384, 65536)
# Large enough that hashes are 0.0004 % of the data, small enough that a damaged place is named closely.
CHUNK = 4 << 20
SMALLEST_CHUNK, LARGEST_CHUNK = 65536, 1 << 30
# off_t: no file is longer. Each of the two lengths stays below half of it, so that all sums do too.
LONGEST = 1 << 61


@dataclass(frozen=True)
class Header:
    """What the header page says. Lengths and offsets in bytes."""

    cpu: str  # as uname(2) names the machine
    page_size: int  # of the machine that wrote it; sections are aligned to it
    records_length: int  # without padding
    data_length: int  # a multiple of the page size
    records_hash: bytes  # xxh3_128 of the records, without padding
    chunk_size: int = CHUNK  # of the data area, per hash
    flags: int = 0  # none is defined yet; an unknown one is refused
    version: int = VERSION

    @property
    def data_offset(self) -> int:
        """Where the data area begins: after the records, at a multiple of the page size."""
        end = HEADER_LENGTH + self.records_length
        return -(-end // self.page_size) * self.page_size

    @property
    def trailer_offset(self) -> int:
        """Where the trailer begins: right after the data area."""
        return self.data_offset + self.data_length

    @property
    def chunks(self) -> int:
        """How many chunks the data area has; the last one may be shorter."""
        return -(-self.data_length // self.chunk_size)

    @property
    def trailer_length(self) -> int:
        """One hash for each chunk, and the tail."""
        return self.chunks * DIGEST + TAIL_LENGTH

    @property
    def file_length(self) -> int:
        """The length of the whole file."""
        return self.trailer_offset + self.trailer_length

    def section(self, offset: int) -> str:
        """The name of the section in which the byte at *offset* of the file lies."""
        if offset < HEADER_LENGTH:
            return "header"
        if offset < self.data_offset:
            return "records"
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
        )
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
    _, version, flags, cpu, page_size, chunk_size, records_length, data_length, records_hash = LAYOUT.unpack_from(page)
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
    if flags:
        raise ImageError(
            f"{name}: the image needs the feature flags {flags:#x}, which this crtool does not know",
            "use the version of crtool that wrote it",
        )
    if page_size not in PAGE_SIZES:
        raise damaged(name, "header", f"no CPU has pages of {page_size} bytes")
    if not SMALLEST_CHUNK <= chunk_size <= LARGEST_CHUNK or chunk_size & (chunk_size - 1):
        raise damaged(name, "header", f"chunks of {chunk_size} bytes are not allowed")
    if records_length >= LONGEST or data_length >= LONGEST or data_length % page_size:
        raise damaged(name, "header", "the lengths of the sections are impossible")
    header = Header(cpu_name.decode(), page_size, records_length, data_length, records_hash, chunk_size)
    if any(page[LAYOUT.size : CHECKSUM_AT]):
        raise damaged(name, "header", "there is something where nothing may be")
    return replace(header, flags=flags, version=version)
