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

import mmap
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from crtool.errors import InternalError
from crtool.image.codec import pack
from crtool.image.compression import Compressor
from crtool.image.datamap import DataMap
from crtool.image.frames import HEAD
from crtool.image.header import CHUNK, FRAMED, HEADER_LENGTH, MAPPED, Header
from crtool.image.pipeline import BUFFER_SIZE, Pipeline
from crtool.image.place import NewFile, Pipe, Place
from crtool.image.trailer import ChunkHasher, pack_trailer, root_hash
from crtool.image.trouble import Path, is_url
from crtool.kernel.interruption import nothing
from crtool.kernel.syscall import memory_address
from crtool.record import replace

if TYPE_CHECKING:
    from crtool.image.keys import Lock
    from crtool.image.sealed import SealedPlace
    from crtool.image.splicer import Load, Splicer

__all__ = ["ImageWriter"]

ZEROS = memoryview(bytes(65536))


class ImageWriter:
    """One image under way. Not for several threads; the hashing and writing thread is its own affair.

    A disk that is full or failing, a folder that vanished, a pipe whose reader ended: EnvironmentDiffers, from
    whichever method comes next.
    """

    def __init__(self, place: Place, compressor: Compressor | None = None, lock: Lock | None = None) -> None:
        self._place = self._file = place
        self._sealed: SealedPlace | None = None
        self._signer = None if lock is None else lock.signer
        if lock is not None and lock.encrypts:
            self._place = self._sealed = _sealed(place, lock)
        self._compressor = compressor
        self._index = bytearray()  # of frames
        self._stored = 0  # bytes of the data area in the file, if it is framed
        self._pipeline = Pipeline(self._consume, self._pass_by)
        self._splicer: Splicer | None = None
        self._header: Header | None = None
        self._records = b""
        self._map = b""
        self.root = b""  # the root hash, once the image is finished
        self.status: os.stat_result | None = None  # of its file then, if it is one of this machine
        self._hasher: ChunkHasher | None = None
        self._submitted = 0
        self._consumed = 0  # in the second thread
        self._room: memoryview | None = None
        self._ended = False

    @classmethod
    def create(
        cls, path: Path, *, force: bool = False, compressor: Compressor | None = None, lock: Lock | None = None
    ) -> ImageWriter:
        """A new image file; its name appears only when it is whole, on the disk, and mode 0600. *path* may be a URL of
        an object store.

        UsageError if *path* exists and *force* is not set, already here and once more, atomically, in :meth:`finish`.
        """
        if is_url(path):
            from crtool.image.remote import RemoteFile  # noqa: PLC0415 - seldom needed

            return cls(RemoteFile(path, force=force), compressor, lock)
        return cls(NewFile(path, force=force), compressor, lock)

    @classmethod
    def to_descriptor(cls, fd: int, *, compressor: Compressor | None = None, lock: Lock | None = None) -> ImageWriter:
        """An image for a pipe; the caller keeps *fd*, of which a duplicate is used."""
        return cls(Pipe(fd), compressor, lock)

    @property
    def name(self) -> str:
        """What the image is called in messages."""
        return self._place.name

    def begin(
        self,
        *,
        cpu: str,
        page_size: int,
        records: bytes,
        data_length: int,
        chunk_size: int = CHUNK,
        data_map: DataMap | None = None,
    ) -> None:
        """Writes header and records; *data_length* bytes of data (a multiple of *page_size*) have to follow.

        *data_map*: how these, and what other images hold, make up the data area that the records speak of.
        """
        if self._header is not None:
            raise InternalError(f"{self.name}: the image has been begun already")
        if data_length % page_size:
            raise InternalError(f"{self.name}: {data_length} bytes of data are not whole pages of {page_size}")
        digest = xxh3_128_digest(records)
        if self._compressor is None:
            header = Header(cpu, page_size, len(records), data_length, digest, chunk_size)
        else:  # what the pipeline hands over at once becomes one frame
            header = Header(cpu, page_size, len(records), data_length, digest, BUFFER_SIZE, FRAMED)
        if data_map is not None:
            self._map = pack(data_map)
            digest = xxh3_128_digest(self._map)
            header = replace(header, flags=header.flags | MAPPED, map_length=len(self._map), map_hash=digest)
        if self._signer is not None:
            header = self._signer.sign_header(header, records + self._map)
        self._header, self._records, self._hasher = header, records, ChunkHasher(header)
        self._place.write(header.pack())
        self._place.write(records)
        self._place.write(bytes(header.map_offset - HEADER_LENGTH - len(records)))
        self._place.write(self._map)
        self._place.write(bytes(header.data_offset - header.map_offset - len(self._map)))

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

    @property
    def direct(self) -> int:
        """A descriptor by which others may write at :attr:`position`, −1 if the image goes through a pipe, or has to be
        compressed or encrypted.
        """
        return self._place.direct if self._compressor is None else -1

    def splicer(self) -> Splicer | None:
        """A way for pages of others to the disk, past the page cache; None if there is none."""
        if self._splicer is None and self.direct >= 0:
            from crtool.image.splicer import Splicer  # noqa: PLC0415 - not for a small image

            try:
                self._splicer = Splicer(self.direct, self.length, self.name, self._pipeline.check)
            except OSError:
                return None  # a file system without it, or pipes that must not be larger
        return self._splicer

    @property
    def position(self) -> int:
        """Where in the file the next byte of the data area belongs."""
        if self._header is None:
            raise InternalError(f"{self.name}: the image has not been begun")
        return self._header.data_offset + self._submitted

    @property
    def length(self) -> int:
        """How long the file will be."""
        return 0 if self._header is None else self._header.file_length

    def written(self, nbytes: int) -> None:
        """Somebody has written the next *nbytes* of the data area at their place in the file."""
        if self._header is None or self._submitted + nbytes > self._header.data_length:
            raise InternalError(f"{self.name}: more data than the records of the image speak of")
        self._pipeline.skip(nbytes)
        self._submitted += nbytes

    def take(self, load: Load) -> None:
        """The next bytes of the data area are in the pipes of the splicer."""
        if self._header is None or self._submitted + load.length > self._header.data_length:
            raise InternalError(f"{self.name}: more data than the records of the image speak of")
        self._pipeline.skip(load)
        self._submitted += load.length

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

    def finish(
        self,
        whole: Callable[[], None] = nothing,
        heed: Callable[[], None] | None = None,
        done: Callable[[], None] = nothing,
    ) -> int:
        """Writes the trailer, brings everything to the disk and the file to its name; returns its length in bytes.

        With *heed*, which is called now and then, it waits until the reader of a pipe has taken everything:
        EnvironmentDiffers if he does not. *whole* is called when all has been written, for the last time at which
        nothing has happened yet, and *done* when all has.
        """
        header = self._header
        if header is None or self._hasher is None or self._submitted != header.data_length:
            raise InternalError(f"{self.name}: less data than the records of the image speak of")
        self._pipeline.flush()
        if self._splicer is not None:
            self._splicer.finish()
        hashes = self._hasher.finish()
        if header.framed:
            header, hashes = replace(header, stored=self._stored), bytes(self._index)
        self.root = root_hash(header, self._records, self._map, hashes)
        signature = b"" if self._signer is None else self._signer.sign_root(self.root)
        self._place.write(pack_trailer(header, self.root, hashes, signature))
        if heed is not None:
            self._place.hand_over(heed)
        whole()
        self._place.commit(done)
        self.status = place.status if isinstance(place := self._file, NewFile) else None
        self._ended = True
        return header.file_length if self._sealed is None else self._sealed.length

    def close(self) -> None:
        """Throws away an image that is not finished."""
        if not self._ended:
            # A thread that hangs in write(2) keeps its descriptor: closed here, its number might soon be another
            # file's.
            is_over = self._pipeline.abandon()
            if self._splicer is not None and is_over:
                is_over = self._splicer.abandon()
            if is_over:
                self._place.discard()
            self._ended = True

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _consume(self, view: memoryview) -> None:
        """In the second thread: hash first, while the buffer is in the cache."""
        assert self._hasher is not None
        if self._compressor is not None:
            self._frame(*self._compressor.pack(view))
            return
        self._hasher.update(view)
        self._place.write(view)
        self._consumed += len(view)

    def _frame(self, codec: int, stored: bytes | memoryview) -> None:
        """In the second thread: the next frame."""
        head = HEAD.pack(codec, len(stored))
        assert self._header is not None
        hasher = self._header.new_hash()
        hasher.update(head)
        hasher.update(stored)
        self._index += head + hasher.digest()
        self._place.write(head)
        self._place.write(stored)
        self._stored += len(head) + len(stored)

    def _pass_by(self, item: int | Load) -> None:
        """In the second thread: hashes what others write."""
        if isinstance(item, int):
            self._look_back(item)
            return
        assert self._hasher is not None
        assert self._header is not None
        assert self._splicer is not None
        self._place.skip(item.length)
        for view in self._splicer.pass_on(item, self._header.data_offset + self._consumed):
            self._hasher.update(view)
            self._consumed += len(view)

    def _look_back(self, nbytes: int) -> None:
        """In the second thread: hashes what others have written, while it is in the page cache."""
        assert self._hasher is not None
        assert self._header is not None
        if self._room is None:
            self._room = memoryview(mmap.mmap(-1, BUFFER_SIZE))
        self._place.skip(nbytes)
        while nbytes:
            view = self._room[:nbytes]
            self._place.read_back(view, self._header.data_offset + self._consumed)
            self._hasher.update(view)
            self._consumed += len(view)
            nbytes -= len(view)


def _sealed(place: Place, lock: Lock) -> SealedPlace:
    """*place*, with everything encrypted on the way; discards it if that cannot be."""
    from crtool.image.sealed import SealedPlace  # noqa: PLC0415 - seldom needed

    try:
        return SealedPlace(place, lock)
    except BaseException:
        place.discard()
        raise
