"""Reading an image, which is not trusted before its checksums are.

    with ImageReader.open("web.crt") as image:
        image.verify()                                   # every byte, before anything is built from it
        record = unpack(image.records, Forest)
        os.preadv(image.fileno(), [view], image.data_offset + segment.offset)

    with ImageReader.from_descriptor(0) as image:        # a pipe: once, in order
        record = unpack(image.records, Forest)
        image.skip_to(segment.offset)
        image.read_data(view)
        image.finish()                                   # only now the data is known to be right

Memory is taken for bytes that have come, never for what a length field announces.
"""

from __future__ import annotations

import mmap
import os
from types import TracebackType

from xxhash import xxh3_128_digest

from crtool.errors import ImageError
from crtool.image.header import DIGEST, HEADER_LENGTH, judge
from crtool.image.layout import Segment
from crtool.image.pipeline import BUFFER_SIZE
from crtool.image.source import FileSource, PipeSource, read_bytes, source_from_descriptor, source_from_path
from crtool.image.trailer import ChunkHasher, root_hash, unpack_trailer
from crtool.image.trouble import ANOTHER_COPY, Path, damaged
from crtool.image.verify import Progress, damaged_chunks

__all__ = ["ImageReader"]


class ImageReader:
    """An image whose header and records are known to be right, and of a file also the trailer.

    ImageError from every method names the damaged section. Not for several threads.
    """

    def __init__(self, source: FileSource | PipeSource) -> None:
        self._source = source
        try:
            self._page = read_bytes(source, HEADER_LENGTH)
            self.info = judge(self._page, source.name)
            self._require_length()
            self.records = self._read_records()
            self._hashes = self._file_trailer() if isinstance(source, FileSource) else None
        except BaseException:
            self.close()
            raise
        self._hasher = ChunkHasher(self.info.chunk_size)
        self._position = 0
        self._finished = False

    @classmethod
    def open(cls, path: Path) -> ImageReader:
        """The image at *path*, which may also be a pipe. NotFound if there is none."""
        return cls(source_from_path(path))

    @classmethod
    def from_descriptor(cls, fd: int) -> ImageReader:
        """The image that comes from *fd*, a pipe or a regular file; the caller keeps *fd*: a duplicate is used."""
        return cls(source_from_descriptor(fd))

    @property
    def name(self) -> str:
        """What the image is called in messages."""
        return self._source.name

    @property
    def is_stream(self) -> bool:
        """Whether the data comes by only once, in order: then there is nothing to map or to read by position."""
        return isinstance(self._source, PipeSource)

    @property
    def data_offset(self) -> int:
        """Where in the file the data area begins."""
        return self.info.data_offset

    @property
    def position(self) -> int:
        """The offset in the data area of the byte that :meth:`read_data` gives next."""
        return self._position

    def fileno(self) -> int:
        """The descriptor of the image, close-on-exec."""
        return self._source.fd

    def read_data(self, view: memoryview) -> None:
        """Fills *view* with the next bytes of the data area, hashing them on the way."""
        self._require_within(self._position, len(view))
        got = self._source.read_into(view)
        self._hasher.update(view[:got])
        self._position += got
        if got < len(view):
            raise self._cut(self.info.data_offset + self._position)

    def file_offset(self, segment: Segment) -> int:
        """Where in the file *segment* begins; ImageError unless all of it is there."""
        self._require_within(segment.offset, segment.length)
        return self.info.data_offset + segment.offset

    def skip_to(self, offset: int) -> None:
        """The next byte of :meth:`read_data` is that at *offset* of the data area; what lies between is hashed too."""
        self._skip_to(offset, None)

    def finish(self) -> None:
        """Reads on to the end of the image and checks all that :meth:`read_data` gave and the trailer;
        ImageError if anything is damaged.

        For an image that was read in order. A file whose data was read by position is checked by :meth:`verify`.
        """
        self._finish(None)

    def verify(self, progress: Progress | None = None) -> None:
        """Checks every byte; ImageError names what is damaged. *progress*: called with the data bytes done and in all.

        A file is read at the speed of the disk by two threads, and can be read again. A pipe is read to its end.
        """
        if self._hashes is None or not isinstance(self._source, FileSource):
            self._finish(progress)
            return
        self._require_whole(damaged_chunks(self._source, self.info, self._hashes, progress))

    def close(self) -> None:
        """Closes the image's descriptor."""
        if self._source.fd >= 0:
            os.close(self._source.fd)
            self._source.fd = -1

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _require_length(self) -> None:
        """A file is exactly as long as its header says, before any of these lengths is used."""
        actual, expected = self._source.length, self.info.file_length
        if actual is None or actual == expected:
            return
        if actual < expected:
            raise self._cut(actual)
        raise self._followed(f"{actual - expected} bytes" if actual - expected > 1 else "one byte")

    def _cut(self, offset: int) -> ImageError:
        """The file ends at *offset*."""
        return damaged(self.name, self.info.section(offset), f"the file ends after {offset} bytes")

    def _followed(self, what: str) -> ImageError:
        return damaged(self.name, "trailer", f"{what} more than the image has")

    def _require_within(self, offset: int, nbytes: int) -> None:
        """Offsets come from records, which may say anything."""
        if offset < 0 or offset + nbytes > self.info.data_length:
            raise ImageError(
                f"{self.name}: the records want data at {offset} that the image does not have", ANOTHER_COPY
            )

    def _read_records(self) -> bytes:
        """The records, checked, with their padding read as well."""
        length = self.info.records_length
        records = read_bytes(self._source, length)
        padding = (
            read_bytes(self._source, self.info.data_offset - HEADER_LENGTH - length) if len(records) == length else b""
        )
        end = HEADER_LENGTH + len(records) + len(padding)
        if end < self.info.data_offset:
            raise self._cut(end)
        if xxh3_128_digest(records) != self.info.records_hash:
            raise damaged(self.name, "records", "their checksum does not match")
        if any(padding):
            raise damaged(self.name, "records", "there is something where nothing may be")
        return records

    def _file_trailer(self) -> bytes:
        """The chunk hashes of a file, whose trailer can be read before its data."""
        assert isinstance(self._source, FileSource)
        trailer = memoryview(bytearray(self.info.trailer_length))
        self._source.read_at(trailer, self.info.trailer_offset)
        return self._check_trailer(bytes(trailer))

    def _check_trailer(self, trailer: bytes) -> bytes:
        """The chunk hashes in *trailer*, which belongs to this header and these records."""
        root, hashes = unpack_trailer(trailer, self.info, self.name)
        padding = self.info.data_offset - HEADER_LENGTH - self.info.records_length
        if root_hash(self._page, self.records, padding, hashes) != root:
            raise damaged(self.name, "trailer", "its root hash is not that of this header and these records")
        return hashes

    def _skip_to(self, offset: int, progress: Progress | None) -> None:
        if offset < self._position:
            raise ImageError(f"{self.name}: the records want data at {offset} that has come by already", ANOTHER_COPY)
        self._require_within(offset, 0)
        if offset == self._position:
            return
        buffer = memoryview(mmap.mmap(-1, BUFFER_SIZE))
        while self._position < offset:
            self.read_data(buffer[: min(len(buffer), offset - self._position)])
            if progress:
                progress(self._position, self.info.data_length)

    def _finish(self, progress: Progress | None) -> None:
        if self._finished:
            return
        self._skip_to(self.info.data_length, progress)
        hashes = self._hashes if self._hashes is not None else self._stream_trailer()
        found = self._hasher.finish()
        self._require_whole(
            [n for n in range(self.info.chunks) if found[n * DIGEST :][:DIGEST] != hashes[n * DIGEST :][:DIGEST]]
        )
        self._finished = True

    def _stream_trailer(self) -> bytes:
        """The trailer of a pipe, after which nothing may come. All data has come, so the trailer is small beside it."""
        trailer = read_bytes(self._source, self.info.trailer_length)
        if len(trailer) < self.info.trailer_length:
            raise self._cut(self.info.trailer_offset + len(trailer))
        if self._source.read_into(memoryview(bytearray(1))):
            raise self._followed("at least one byte")
        return self._check_trailer(trailer)

    def _require_whole(self, damaged_numbers: list[int]) -> None:
        """ImageError with the first run of chunks that are damaged, and how many more there are."""
        if not damaged_numbers:
            return
        first = last = damaged_numbers[0]
        for number in damaged_numbers[1:]:
            if number != last + 1:
                break
            last = number
        begin = self.info.data_offset + first * self.info.chunk_size
        end = min(self.info.data_offset + (last + 1) * self.info.chunk_size, self.info.trailer_offset)
        rest = len(damaged_numbers) - (last - first + 1)
        more = f"; {rest} more of {self.info.chunks} chunks are damaged too" if rest else ""
        raise damaged(self.name, f"data, bytes {begin}–{end - 1}", f"the checksum does not match{more}")
