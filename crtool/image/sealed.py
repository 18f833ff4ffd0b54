"""Images that are encrypted as a whole: what the writer and the reader see is the image as if it were not.

A file can be read at any place, since its chunks are encrypted one by one; a pipe is decrypted as it comes. What has
been decrypted is in memory only. Every chunk is authenticated when it is read, so that what is read has not been
changed since it was written, even a moment ago.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from threading import local

from crtool.errors import CrtoolError, ImageError, InternalError, TargetError
from crtool.image.age import (
    ARMOUR,
    CHUNK,
    MAGIC,
    NONCE,
    SEALED_CHUNK,
    TAG,
    Chunks,
    Malformed,
    open_payload,
    parse_header,
    require_package,
    unwrap,
    write_header,
)
from crtool.image.keys import Keys, Lock
from crtool.image.place import Place
from crtool.image.source import FileSource, PipeSource, read_bytes
from crtool.image.trouble import Path, damaged
from crtool.kernel.interruption import nothing

__all__ = ["SealedPlace", "has_passphrase", "is_sealed", "unsealed"]

_TOGETHER = 16  # chunks that are written, or read, at once
_LONGEST_HEADER = 256 << 10  # bytes: some two thousand recipients
_STEP = 4096


class SealedPlace:
    """Encrypts on the way to another place."""

    direct = -1  # nobody else can write

    def __init__(self, inner: Place, lock: Lock) -> None:
        self.name = inner.name
        self.length = 0  # bytes written to the inner place
        self._inner = inner
        head, self._chunks = write_header(lock.recipients, lock.passphrase)
        self._held = memoryview(bytearray(CHUNK))  # the beginning of a chunk
        self._filled = 0
        self._number = 0
        self._closed = False  # the last chunk is written
        self._out = memoryview(bytearray(_TOGETHER * SEALED_CHUNK))
        self._ready = 0  # bytes of it
        self._put(head)

    def write(self, view: memoryview | bytes) -> None:
        """Appends all of *view*. A full chunk is held back until more comes: it might be the last."""
        rest = memoryview(view)
        while rest:
            if self._filled == CHUNK:
                self._encrypt(self._held)
                self._filled = 0
            if not self._filled:  # straight from there
                while len(rest) > CHUNK:
                    self._encrypt(rest[:CHUNK])
                    rest = rest[CHUNK:]
            part = rest[: CHUNK - self._filled]
            self._held[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            rest = rest[len(part) :]
        self._flush()

    def skip(self, nbytes: int) -> None:
        """Nobody else can have written."""
        raise InternalError(f"{self.name}: {nbytes} bytes are missing")

    def read_back(self, view: memoryview, offset: int) -> None:
        """What is encrypted is not read back."""
        raise InternalError(f"{self.name}: {len(view)} bytes at {offset} cannot be read back")

    def hand_over(self, heed: Callable[[], None]) -> None:
        """Writes the last chunk, marked as such, and waits until all is taken."""
        self._close()
        self._inner.hand_over(heed)

    def commit(self, done: Callable[[], None] = nothing) -> None:
        """Writes the last chunk, marked as such."""
        self._close()
        self._inner.commit(done)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._encrypt(self._held[: self._filled], last=True)
            self._flush()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Leaves nothing behind."""
        self._inner.discard()

    def _encrypt(self, plain: memoryview, *, last: bool = False) -> None:
        end = self._ready + len(plain) + TAG
        if end > len(self._out):
            self._flush()
            end = len(plain) + TAG
        self._chunks.encrypt(self._number, plain, self._out[self._ready : end], last=last)
        self._number += 1
        self._ready = end

    def _flush(self) -> None:
        self._put(self._out[: self._ready])
        self._ready = 0

    def _put(self, sealed: memoryview | bytes) -> None:
        if sealed:
            self._inner.write(sealed)
            self.length += len(sealed)


def unsealed(source: FileSource | PipeSource, page: bytes, keys: Keys) -> FileSource | PipeSource:
    """The image in *source*, of which *page* has been read, decrypted by one of *keys*.

    TargetError if none of them fits, ImageError if its beginning is not as it should be, EnvironmentDiffers without the
    package.
    """
    require_package()
    feed = _Feed(source, page)
    try:
        chunks = _opened(feed, keys)
    except Malformed as trouble:
        raise _broken(source.name, 0, feed.position, str(trouble)) from None
    if isinstance(source, FileSource):
        return SealedFile(source, feed.position, chunks)
    return SealedPipe(source, feed, chunks)


def has_passphrase(path: Path) -> bool:
    """Whether the file at *path* is an image that is encrypted by a passphrase."""
    return _begins(path, MAGIC + b"-> scrypt ")


def is_sealed(path: Path) -> bool:
    """Whether it is encrypted at all."""
    return _begins(path, MAGIC)


def _begins(path: Path, how: bytes) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False  # what is read of a pipe is gone
        with open(path, "rb") as file:
            return file.read(len(how)) == how
    except OSError:
        return False


class _Feed:
    """The bytes of a source from its beginning, of which some have been read already."""

    def __init__(self, source: FileSource | PipeSource, read: bytes) -> None:
        self.name = source.name
        self.position = 0
        self._source = source
        self._read = bytearray(read)

    def read(self, nbytes: int) -> bytes:
        """The next bytes, fewer at the end."""
        if len(self._read) < nbytes:
            self._read += read_bytes(self._source, nbytes - len(self._read))
        found = bytes(self._read[:nbytes])
        del self._read[:nbytes]
        self.position += len(found)
        return found

    def read_line(self) -> bytes:
        """The next line with its end, or what there is of it."""
        while (end := self._read.find(b"\n")) < 0 and (more := read_bytes(self._source, _STEP)):
            self._read += more
            if self.position + len(self._read) > _LONGEST_HEADER:
                raise Malformed("its header is too long")
        return self.read(end + 1 if end >= 0 else len(self._read))

    def read_into(self, view: memoryview) -> int:
        """Fills *view*; fewer bytes than it holds only at the end."""
        got = min(len(self._read), len(view))
        view[:got] = self._read[:got]
        del self._read[:got]
        if got < len(view):
            got += self._source.read_into(view[got:])
        self.position += got
        return got


def _opened(feed: _Feed, keys: Keys) -> Chunks:
    if (first := feed.read_line()) != MAGIC:
        if first.startswith(ARMOUR):
            raise Malformed("it is armoured: age -d, or base64 -d, undoes that")
        raise Malformed("its first line is cut off")
    stanzas, head, mac = parse_header(feed.read_line)
    nonce = feed.read(NONCE)
    if len(nonce) < NONCE:
        raise Malformed("it is cut off")
    key = unwrap(stanzas, keys.identities, keys.passphrase)
    if key is None:
        raise _locked(feed, stanzas[0].arguments[0] == "scrypt", keys)
    return open_payload(key, head, mac, nonce)


def _locked(feed: _Feed, by_passphrase: bool, keys: Keys) -> CrtoolError:
    name = feed.name
    if by_passphrase:
        if keys.passphrase is None:
            return TargetError(f"{name}: the image is encrypted by a passphrase", "give it: --passphrase asks for it")
        return TargetError(f"{name}: the image is encrypted by another passphrase", "give the right one")
    if not keys.identities:
        return TargetError(f"{name}: the image is encrypted", "give the key of a recipient: --identity FILE")
    return TargetError(f"{name}: the image is encrypted for others than the given keys", "give another --identity FILE")


def _broken(name: str, begin: int, end: int, why: str) -> ImageError:
    return damaged(name, f"encryption, bytes {begin}–{max(begin, end - 1)}", why)


_CHANGED = "it was changed, or cut off, after it was encrypted"


class SealedFile(FileSource):
    """An encrypted file, which can be read at any place."""

    def __init__(self, inner: FileSource, begin: int, chunks: Chunks) -> None:
        sealed = (inner.length or 0) - begin
        super().__init__(inner.fd, inner.name)
        self._begin = begin
        self._chunks = chunks
        self._sealed = sealed  # bytes of the payload
        self._count = max(1, -(-sealed // SEALED_CHUNK))
        self._mine = local()  # of each thread: room for what is read, and the chunk that was decrypted last
        self.length = max(0, sealed - self._count * TAG)
        # The last chunk is marked as such: it says that the file has been neither cut nor extended.
        self._chunk(self._count - 1)

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fills *view* with the decrypted bytes from *offset* on; fewer than it holds only at the end."""
        assert self.length is not None
        rest = view[: max(0, self.length - offset)]
        done = len(rest)
        while rest:
            number, begin = divmod(offset, CHUNK)
            if not begin and len(rest) >= CHUNK and number < self._count - 1:
                got = self._whole_chunks(number, rest)
            else:
                part = self._chunk(number)[begin : begin + len(rest)]
                rest[: len(part)] = part
                got = len(part)
            rest, offset = rest[got:], offset + got
        return done

    def _whole_chunks(self, number: int, view: memoryview) -> int:
        """Decrypts as many chunks as fit, from *number* on but not the last, straight into *view*."""
        count = min(len(view) // CHUNK, self._count - 1 - number, _TOGETHER)
        sealed = self._read(number, count * SEALED_CHUNK)
        for place in range(count):
            begin = place * SEALED_CHUNK
            plain = view[place * CHUNK : (place + 1) * CHUNK]
            self._decrypt(number + place, sealed[begin : begin + SEALED_CHUNK], plain)
        return count * CHUNK

    def _chunk(self, number: int) -> memoryview:
        """One chunk, decrypted."""
        if getattr(self._mine, "number", -1) != number:
            sealed = self._read(number, min(SEALED_CHUNK, self._sealed - number * SEALED_CHUNK))
            plain = memoryview(bytearray(max(0, len(sealed) - TAG)))
            self._decrypt(number, sealed, plain)
            self._mine.plain, self._mine.number = plain, number
        found: memoryview = self._mine.plain
        return found

    def _read(self, number: int, nbytes: int) -> memoryview:
        if not hasattr(self._mine, "room"):
            self._mine.room = memoryview(bytearray(min(_TOGETHER * SEALED_CHUNK, max(self._sealed, 0))))
        room: memoryview = self._mine.room
        got = super().read_at(room[: max(0, nbytes)], self._begin + number * SEALED_CHUNK)
        return room[:got]

    def _decrypt(self, number: int, sealed: memoryview, plain: memoryview) -> None:
        last = number == self._count - 1
        # Only a payload of nothing ends with a chunk of nothing.
        empty = len(sealed) <= TAG and (number or len(sealed) < TAG)
        if empty or len(sealed) != len(plain) + TAG or not self._chunks.decrypt(number, sealed, plain, last=last):
            begin = self._begin + number * SEALED_CHUNK
            raise _broken(self.name, begin, begin + len(sealed), _CHANGED)


class SealedPipe(PipeSource):
    """An encrypted stream, which is decrypted as it comes."""

    def __init__(self, inner: PipeSource, feed: _Feed, chunks: Chunks) -> None:
        self.fd = inner.fd
        self.name = inner.name
        self.length: int | None = None
        self._feed = feed
        self._begin = feed.position
        self._chunks = chunks
        self._number = 0
        self._this = memoryview(bytearray(SEALED_CHUNK))
        self._next = memoryview(bytearray(SEALED_CHUNK))
        self._plain = memoryview(bytearray(CHUNK))
        self._left = self._plain[:0]  # of the chunk that was decrypted last
        self._got = feed.read_into(self._this)
        self._ended = False

    def read_into(self, view: memoryview) -> int:
        """Fills *view* with the next decrypted bytes; fewer than it holds only at the end."""
        done = 0
        while done < len(view):
            if not self._left:
                if self._ended:
                    break
                rest = view[done:]
                # Straight to where it is wanted.
                done += self._next_chunk(rest if len(rest) >= CHUNK else None)
                continue
            part = self._left[: len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._left = self._left[len(part) :]
        return done

    def _next_chunk(self, where: memoryview | None) -> int:
        """Decrypts the next chunk to *where*, of which it returns the bytes that were filled, or keeps it."""
        after = self._feed.read_into(self._next) if self._got == SEALED_CHUNK else 0
        last = not after
        sealed = self._this[: self._got]
        plain = (self._plain if where is None else where)[: max(0, self._got - TAG)]
        empty = self._got <= TAG and (self._number or self._got < TAG)
        if empty or not self._chunks.decrypt(self._number, sealed, plain, last=last):
            begin = self._begin + self._number * SEALED_CHUNK
            raise _broken(self.name, begin, begin + self._got, _CHANGED)
        self._this, self._next = self._next, self._this
        self._got, self._ended = after, last
        self._number += 1
        if where is None:
            self._left = plain
            return 0
        return len(plain)
