"""Reading an image, which is not trusted before its checksums are.

    with ImageReader.open("web.crt") as image:
        image.verify()                                   # every byte, before anything is built from it
        record = unpack(image.records, Forest)
        image.read_at(segment.offset, view)

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
from collections.abc import Container, Iterator, Sequence
from types import TracebackType

from xxhash import xxh3_128_digest

from crtool.errors import ImageError, InternalError
from crtool.image.age import ARMOUR, MAGIC
from crtool.image.chain import Chain
from crtool.image.codec import unpack
from crtool.image.compression import require
from crtool.image.datamap import OWN, Columns, DataMap, Origin, Run, Runs
from crtool.image.frames import HEAD, Frames
from crtool.image.header import HEADER_LENGTH, judge
from crtool.image.keys import Keys
from crtool.image.passing import Passing
from crtool.image.pipeline import BUFFER_SIZE
from crtool.image.signature import fingerprint, judge_header, judge_root
from crtool.image.source import FileSource, PipeSource, file_only, read_bytes, source_from_descriptor, source_from_path
from crtool.image.trailer import root_hash, unpack_trailer
from crtool.image.trouble import ANOTHER_COPY, Path, damaged
from crtool.image.verify import Checking, Progress, damaged_chunks
from crtool.record import replace

__all__ = ["ImageReader"]


class ImageReader:
    """An image whose header and records are known to be right, and of a file also the trailer.

    ImageError from every method names the damaged section. Not for several threads.
    """

    def __init__(
        self, source: FileSource | PipeSource, parents: Sequence[Path] | None = (), keys: Keys | None = None
    ) -> None:
        """*parents*: files, and folders with files, that may hold what is stored in other images; None if only that is
        of interest which this one stores.

        *keys*: what encrypted ones ask for, and whose signature they must have. TargetError if they do not decrypt it.
        """
        self._source = source
        self._keys = keys or Keys()
        self._chain: Chain | None = None
        self.root = b""  # the root hash; of a stream known at its end
        try:
            source, page = self._first_page()
            self.info = judge(page, source.name)
            self._require_length()
            self.records = self._read_section("records", self.info.records_length, self.info.records_hash)
            self._map = self._read_section("map", self.info.map_length, self.info.map_hash) if self.info.mapped else b""
            judge_header(self.info, self.records + self._map, self._keys.verifiers, source.name)
            self.runs = None if parents is None or not self.info.mapped else self._read_map(parents)
            self._hashes = self._file_trailer() if isinstance(source, FileSource) else None
            self._frames = None if self._hashes is None else Frames(self.info, self._hashes, source.name)
        except BaseException:
            self.close()
            raise
        self._passing = Passing(source, self.info)
        self._position = 0  # in the data area
        self._finished = False

    @classmethod
    def open(cls, image: Path | int, parents: Sequence[Path] = (), keys: Keys | None = None) -> ImageReader:
        """The image at a path, which may also be a pipe, or behind a descriptor. NotFound if there is none."""
        source = source_from_descriptor(image) if isinstance(image, int) else source_from_path(image)
        return cls(source, parents, keys)

    @classmethod
    def from_descriptor(cls, fd: int, parents: Sequence[Path] = ()) -> ImageReader:
        """The image that comes from *fd*, a pipe or a regular file; the caller keeps *fd*: a duplicate is used."""
        return cls.open(fd, parents)

    def _first_page(self) -> tuple[FileSource | PipeSource, bytes]:
        """Reads the header page, decrypted if it has to be; and where the rest comes from."""
        page = read_bytes(self._source, HEADER_LENGTH)
        self.is_encrypted = page.startswith((MAGIC, ARMOUR))
        if self.is_encrypted:
            from crtool.image.sealed import unsealed  # noqa: PLC0415 - seldom needed

            self._source = unsealed(self._source, page, self._keys)
            page = read_bytes(self._source, HEADER_LENGTH)
        elif self._keys.passphrase is not None and not self._keys.plain_too:
            # Whoever has encrypted his images relies on that nobody else can have made them.
            what = f"{self.name}: the image is not encrypted, and a passphrase was given"
            raise ImageError(what, "leave it out if you trust the image")
        return self._source, page

    @property
    def size(self) -> int:
        """The length of the file, bytes; of an encrypted stream only what it has when it is decrypted is known."""
        return os.fstat(self._source.fd).st_size if not self.is_stream else self.info.file_length

    @property
    def signer(self) -> str:
        """The fingerprint of the key by which the image says that it is signed, or nothing."""
        return "" if self.info.seal is None else fingerprint(self.info.seal.public)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The other images that hold bytes of this one, by their names."""
        return () if self._chain is None else tuple(self._chain.origins)

    def ancestors(self) -> list[ImageReader]:
        """Those images, opened; they are closed with this one. ImageError if one is gone, or has changed."""
        return [] if self._chain is None else self._chain.images()

    @property
    def length(self) -> int:
        """Bytes of the data area, wherever they are stored."""
        return self.info.data_length if self.runs is None else self.runs.length

    @property
    def name(self) -> str:
        """What the image is called in messages."""
        return self._source.name

    @property
    def path(self) -> bytes:
        """Where the file is; empty for a stream."""
        return b"" if self.is_stream else os.readlink(b"/proc/self/fd/%d" % self._source.fd)

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
        for run in map(Run, *self.cut(self._position, len(view))):
            if run.image == OWN:
                self._skip_stored(run.offset, None)
                self._passing.read(view[: run.length])
            else:
                self.holder(run.image).read_stored_at(run.offset, view[: run.length])
            self._position += run.length
            view = view[run.length :]

    def cut(self, offset: int, length: int) -> Columns:
        """As :meth:`places`, in columns, with the numbers of the images: see :meth:`holder`."""
        self._require_within(offset, length)
        return ((length,), (OWN,), (offset,)) if self.runs is None else self.runs.cut(offset, length)

    def holder(self, number: int) -> ImageReader:
        """Image *number* of those that hold bytes of this one, which is 0 itself."""
        return self if number == OWN or self._chain is None else self._chain.image(number)

    def places(self, offset: int, length: int) -> Iterator[tuple[int, ImageReader, int]]:
        """Where the *length* bytes from *offset* of the data area on are: how many of them, in which image, and at
        which offset of what that one stores."""
        for part, image, at in zip(*self.cut(offset, length), strict=True):
            yield part, self.holder(image), at

    @property
    def is_plain(self) -> bool:
        """Whether the data lies in a file as it is, so that it can be mapped, and read by others."""
        return not self.is_stream and not self.info.framed and not self.is_encrypted

    def require_packages(self) -> None:
        """EnvironmentDiffers if what unpacks the data is not installed; of a stream nobody knows beforehand."""
        for image in (self, *self.ancestors()):
            if image._frames is not None:
                require(image._frames.codecs())

    def read_at(self, offset: int, view: memoryview) -> None:
        """Fills *view* from *offset* of the data area of a file."""
        for length, image, at in self.places(offset, len(view)):
            image.read_stored_at(at, view[:length])
            view = view[length:]

    def read_stored_at(self, offset: int, view: memoryview) -> None:
        """Fills *view* from *offset* of what this file itself stores."""
        if offset + len(view) > self.info.data_length:
            raise ImageError(f"{self.name}: bytes at {offset} are wanted that the image does not have", ANOTHER_COPY)
        if not isinstance(self._source, FileSource):
            raise InternalError(f"{self.name}: a stream is read in order")
        if not self.info.framed:
            at = self.info.data_offset + offset
            if (got := self._source.read_at(view, at)) < len(view):
                raise self._cut(at + got)
            return
        assert self._frames is not None
        self._frames.read(self._source, offset, view)

    def chunk(self, number: int) -> memoryview:
        """A chunk of what this file stores, verified as it is read; ImageError if it is damaged."""
        assert self._frames is not None and isinstance(self._source, FileSource)
        return self._frames.verified(self._source, number)

    def skip_to(self, offset: int) -> None:
        """The next byte of :meth:`read_data` is that at *offset* of the data area; what lies between is hashed too."""
        if offset < self._position:
            raise self._gone_by(offset)
        self._require_within(offset, 0)
        if self.runs is None:
            self._skip_stored(offset, None)
        self._position = offset

    def finish(self) -> None:
        """Reads on to the end of the image and checks all that :meth:`read_data` gave and the trailer;
        ImageError if anything is damaged.

        For an image that was read in order. A file whose data was read by position is checked by :meth:`verify`.
        """
        self._finish(None)

    def verify(self, progress: Progress | None = None, known: Container[bytes] = ()) -> None:
        """Checks every byte; ImageError names what is damaged. *progress*: called with the data bytes done and in all.

        A file is read at the speed of the disk by two threads, and can be read again. A pipe is read to its end. The
        images that hold bytes of this one are verified too; those with a root hash that is *known* are not.
        """
        for image in (self, *self.ancestors()):
            if image.root not in known:
                image._verify(progress)

    def _verify(self, progress: Progress | None) -> None:
        if self._frames is None or not isinstance(self._source, FileSource):
            self._finish(progress)
            return
        self.require_whole(damaged_chunks(self._source, self.info, self._frames, progress))

    def verify_ancestors(self) -> None:
        """The same of the other images only: of a stream it is done before, for none of it can be undone."""
        for image in self.ancestors():
            image._verify(None)

    def checking(self) -> Checking:
        """As :meth:`verify`, in another thread; what it finds goes to :meth:`require_whole`. Of one file only."""
        if self._frames is None or not isinstance(self._source, FileSource):
            raise InternalError(f"{self.name}: a stream is checked as it comes")
        return Checking(self._source, self.info, self._frames)

    def close(self) -> None:
        """Closes the image's descriptor, and those of the images that hold bytes of it."""
        if self._chain is not None:
            self._chain.close()
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
        actual = self._source.length
        if actual is None:
            return
        if self.info.framed:
            least = self.info.data_offset + self.info.chunks * HEAD.size + self.info.trailer_length
            if actual < least:
                raise self._cut(actual)
            self.info = replace(self.info, stored=actual - self.info.data_offset - self.info.trailer_length)
        expected = self.info.file_length
        if actual == expected:
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
        if offset < 0 or offset + nbytes > self.length:
            raise ImageError(
                f"{self.name}: the records want data at {offset} that the image does not have", ANOTHER_COPY
            )

    def _read_section(self, section: str, length: int, digest: bytes) -> bytes:
        """Records or map, checked, with their padding read as well."""
        content = read_bytes(self._source, length)
        begin, end = (
            (HEADER_LENGTH, self.info.map_offset)
            if section == "records"
            else (self.info.map_offset, self.info.data_offset)
        )
        padding = read_bytes(self._source, end - begin - length) if len(content) == length else b""
        if (reached := begin + len(content) + len(padding)) < end:
            raise self._cut(reached)
        if xxh3_128_digest(content) != digest:
            raise damaged(self.name, section, "the checksum does not match")
        if any(padding):
            raise damaged(self.name, section, "there is something where nothing may be")
        return content

    def _read_map(self, parents: Sequence[Path]) -> Runs:
        found = unpack(self._map, DataMap)
        runs = Runs(found, page_size=self.info.page_size, stored=self.info.data_length, name=self.name)
        folder = os.path.dirname(self.path)
        self._chain = Chain(self.name, folder, found.origins, runs.reach, parents, self._open_other)
        return runs

    def _open_other(self, path: Path) -> ImageReader:
        return ImageReader(file_only(path), None, self._keys)

    def _file_trailer(self) -> bytes:
        """The chunk hashes of a file, whose trailer can be read before its data."""
        assert isinstance(self._source, FileSource)
        trailer = memoryview(bytearray(self.info.trailer_length))
        self._source.read_at(trailer, self.info.trailer_offset)
        return self._check_trailer(bytes(trailer))

    def _check_trailer(self, trailer: bytes) -> bytes:
        """The chunk hashes in *trailer*, which belongs to this header and these records."""
        self.root, hashes, signature = unpack_trailer(trailer, self.info, self.name)
        if root_hash(self.info, self.records, self._map, hashes) != self.root:
            raise damaged(self.name, "trailer", "its root hash is not that of this header and these records")
        judge_root(self.info, self.root, signature, self._keys.verifiers, self.name)
        return hashes

    def _gone_by(self, offset: int) -> ImageError:
        return ImageError(f"{self.name}: the records want data at {offset} that has come by already", ANOTHER_COPY)

    def _skip_stored(self, offset: int, progress: Progress | None) -> None:
        """Lets what is stored come by, up to *offset*."""
        if offset < self._passing.passed:
            raise self._gone_by(offset)
        if offset == self._passing.passed:
            return
        buffer = memoryview(mmap.mmap(-1, BUFFER_SIZE))
        while self._passing.passed < offset:
            self._passing.read(buffer[: min(len(buffer), offset - self._passing.passed)])
            if progress:
                progress(self._passing.passed, self.info.data_length)

    def _finish(self, progress: Progress | None) -> None:
        if self._finished:
            return
        self._skip_stored(self.info.data_length, progress)
        hashes = self._hashes if self._hashes is not None else self._stream_trailer()
        found = self._passing.digests()
        size = self.info.entry
        self._frames = Frames(self.info, hashes, self.name)
        self.require_whole(
            [n for n in range(self.info.chunks) if found[n * size :][:size] != hashes[n * size :][:size]]
        )
        self._finished = True

    def _stream_trailer(self) -> bytes:
        """The trailer of a pipe, after which nothing may come. All data has come, so the trailer is small beside it."""
        if self.info.framed:
            self.info = replace(self.info, stored=self._passing.stored())
        trailer = read_bytes(self._source, self.info.trailer_length)
        if len(trailer) < self.info.trailer_length:
            raise self._cut(self.info.trailer_offset + len(trailer))
        if self._source.read_into(memoryview(bytearray(1))):
            raise self._followed("at least one byte")
        return self._check_trailer(trailer)

    def require_whole(self, damaged_numbers: list[int]) -> None:
        """ImageError with the first run of chunks that are damaged, and how many more there are."""
        if not damaged_numbers:
            return
        assert self._frames is not None
        raise self._frames.damage(damaged_numbers)
