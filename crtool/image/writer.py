"""Writing an image: header, records, data in order, trailer, in one pass without a seek.

    with ImageWriter.create("web.crt") as image:         # before the target is frozen: all that can fail early does
        …
        image.begin(cpu="x86_64", page_size=4096, records=records, data_length=layout.length)
        for segment in …:
            view = image.buffer()
            image.submit(read_memory_into(pid, ranges, view))
            image.pad()
        size = image.finish()

Leaving the block without :meth:`~ImageWriter.finish` leaves nothing behind.
"""

from __future__ import annotations

from types import TracebackType

from xxhash import xxh3_128_digest

from crtool.errors import InternalError
from crtool.image.header import CHUNK, HEADER_LENGTH, Header
from crtool.image.pipeline import Pipeline
from crtool.image.place import NewFile, Pipe, Place
from crtool.image.trailer import ChunkHasher, pack_trailer, root_hash
from crtool.image.trouble import Path
from crtool.kernel.syscall import memory_address

__all__ = ["ImageWriter"]

ZEROS = memoryview(bytes(65536))


class ImageWriter:
    """One image under way. Not for several threads; the hashing and writing thread is its own affair.

    A disk that is full or failing, a folder that vanished, a pipe whose reader ended: EnvironmentDiffers, from
    whichever method comes next.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pipeline = Pipeline(self._consume)
        self._header: Header | None = None
        self._records = b""
        self._hasher: ChunkHasher | None = None
        self._submitted = 0
        self._ended = False

    @classmethod
    def create(cls, path: Path, *, force: bool = False) -> ImageWriter:
        """A new image file; its name appears only when it is whole, on the disk, and mode 0600.

        UsageError if *path* exists and *force* is not set, already here and once more, atomically, in :meth:`finish`.
        """
        return cls(NewFile(path, force=force))

    @classmethod
    def to_descriptor(cls, fd: int) -> ImageWriter:
        """An image for a pipe; the caller keeps *fd*, of which a duplicate is used."""
        return cls(Pipe(fd))

    @property
    def name(self) -> str:
        """What the image is called in messages."""
        return self._place.name

    def begin(self, *, cpu: str, page_size: int, records: bytes, data_length: int, chunk_size: int = CHUNK) -> None:
        """Writes header and records; *data_length* bytes of data (a multiple of *page_size*) have to follow."""
        if self._header is not None:
            raise InternalError(f"{self.name}: the image has been begun already")
        if data_length % page_size:
            raise InternalError(f"{self.name}: {data_length} bytes of data are not whole pages of {page_size}")
        header = Header(cpu, page_size, len(records), data_length, xxh3_128_digest(records), chunk_size)
        self._header, self._records, self._hasher = header, records, ChunkHasher(header.chunk_size)
        padding = header.data_offset - HEADER_LENGTH - len(records)
        self._place.write(header.pack())
        self._place.write(records)
        self._place.write(bytes(padding))

    def buffer(self) -> memoryview:
        """Memory to fill with the next bytes of the data area: at least one byte, usually the rest of 1 MiB.

        It begins at a page boundary as long as whole pages were submitted. Valid until :meth:`submit`.
        """
        return self._pipeline.room()

    @property
    def address(self) -> int:
        """The address of :meth:`buffer` in this process, for system calls that want numbers."""
        return memory_address(self._pipeline.room())

    def submit(self, nbytes: int) -> None:
        """The first *nbytes* of :meth:`buffer` are the next bytes of the data area."""
        if self._header is None or self._submitted + nbytes > self._header.data_length:
            raise InternalError(f"{self.name}: more data than the records of the image speak of")
        self._pipeline.advance(nbytes)
        self._submitted += nbytes

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Copies *data* to the data area: for what is small or already here."""
        rest = memoryview(data).cast("B")
        while rest:
            room = self.buffer()
            part = rest[: len(room)]
            room[: len(part)] = part
            self.submit(len(part))
            rest = rest[len(part) :]

    def zeros(self, nbytes: int) -> None:
        """The next *nbytes* of the data area are zero."""
        while nbytes:
            part = ZEROS[:nbytes]
            self.append(part)
            nbytes -= len(part)

    def pad(self) -> None:
        """Zero bytes up to the next page: between two segments (:class:`crtool.image.layout.DataLayout`)."""
        if self._header is not None:
            self.zeros(-self._submitted % self._header.page_size)

    def finish(self) -> int:
        """Writes the trailer, brings everything to the disk and the file to its name; returns its length in bytes."""
        header = self._header
        if header is None or self._hasher is None or self._submitted != header.data_length:
            raise InternalError(f"{self.name}: less data than the records of the image speak of")
        self._pipeline.flush()
        hashes = self._hasher.finish()
        padding = header.data_offset - HEADER_LENGTH - len(self._records)
        self._place.write(pack_trailer(header, root_hash(header.pack(), self._records, padding, hashes), hashes))
        self._ended = True
        self._place.commit()
        return header.file_length

    def close(self) -> None:
        """Throws away an image that is not finished."""
        if not self._ended:
            self._ended = True
            # A thread that hangs in write(2) keeps its descriptor: closed here, its number might soon be another
            # file's.
            if self._pipeline.abandon():
                self._place.discard()

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _consume(self, view: memoryview) -> None:
        """In the second thread: hash first, while the buffer is in the cache."""
        assert self._hasher is not None
        self._hasher.update(view)
        self._place.write(view)
