"""Where an image is read from: a regular file, of which every part can be read at any time, or a pipe."""

from __future__ import annotations

import fcntl
import os
import select
import stat
from typing import Protocol

from crtool.errors import ImageError
from crtool.image.trouble import Path, cannot_read, is_url, shown

__all__ = ["FileSource", "PipeSource", "Source", "file_only", "source_from_descriptor", "source_from_path"]

# Memory for what a length field announces is taken in steps, as bytes really come.
STEP = 1 << 20
PIPE_SIZE = 1 << 20


class Source(Protocol):
    """A sequence of bytes. *length* is that of the whole file, None where only the end of the stream will tell."""

    name: str
    fd: int
    length: int | None

    def read_into(self, view: memoryview) -> int:
        """Fills *view* with the next bytes; fewer than it holds only at the end."""


class FileSource:
    """A regular file, read by position: the file offset of the descriptor is neither used nor moved."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.length: int | None = os.fstat(fd).st_size
        self._position = 0

    def read_into(self, view: memoryview) -> int:
        """Fills *view* with the next bytes; fewer than it holds only at the end."""
        got = self.read_at(view, self._position)
        self._position += got
        return got

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fills *view* with the bytes from *offset* on; fewer than it holds only at the end. For any thread."""
        done = 0
        try:
            while done < len(view) and (got := os.preadv(self.fd, [view[done:]], offset + done)):
                done += got
        except OSError as error:
            raise cannot_read(self.name, error) from error
        return done


class PipeSource:
    """A pipe or socket."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.length: int | None = None
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # no pipe, or its owner may not have a larger one: only slower

    def read_into(self, view: memoryview) -> int:
        """Fills *view* with the next bytes; fewer than it holds only at the end."""
        done = 0
        while done < len(view):
            try:
                got = os.readv(self.fd, [view[done:]])
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.fd, select.POLLIN)
                poll.poll()
                continue
            except OSError as error:
                raise cannot_read(self.name, error) from error
            if not got:
                break
            done += got
        return done


def read_bytes(source: Source, nbytes: int) -> bytes:
    """The next *nbytes*, fewer at the end: takes memory for what is there, whatever is announced."""
    data = bytearray()
    while len(data) < nbytes:
        step = min(nbytes - len(data), max(STEP, len(data)))
        begin = len(data)
        data += bytes(step)
        with memoryview(data) as view, view[begin:] as rest:
            got = source.read_into(rest)
        if got < step:
            del data[begin + got :]
            break
    return bytes(data)


def source_from_path(path: Path) -> FileSource | PipeSource:
    """Opens *path*: NotFound if there is nothing, ImageError if it is nothing that can hold an image."""
    if is_url(path):
        from crtool.image.remote import RemoteSource  # noqa: PLC0415 - seldom needed

        return RemoteSource(path)
    name = shown(path)
    try:
        # Looked at before it is opened: to open some devices is to start something (watchdog(4)).
        require_readable_kind(os.stat(path).st_mode, name)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise cannot_read(name, error) from error
    return source_of(fd, name)


def file_only(path: Path) -> FileSource:
    """Opens *path*, which somebody else has chosen: never a URL, and nothing that waits, or does something."""
    name = shown(path)
    try:
        require_file(os.stat(path).st_mode, name)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise cannot_read(name, error) from error
    try:
        require_file(os.fstat(fd).st_mode, name)
        return FileSource(fd, name)
    except BaseException:
        os.close(fd)
        raise


def source_from_descriptor(fd: int) -> FileSource | PipeSource:
    """A duplicate of *fd*; a regular file must stand at its beginning."""
    name = "standard input" if fd == 0 else f"descriptor {fd}"
    try:
        if fd and stat.S_ISREG(os.fstat(fd).st_mode):
            name = shown(os.readlink(f"/proc/self/fd/{fd}"))
        return source_of(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3), name)
    except OSError as error:
        raise cannot_read(name, error) from error


def source_of(fd: int, name: str) -> FileSource | PipeSource:
    """Takes over *fd*."""
    try:
        mode = os.fstat(fd).st_mode
        require_readable_kind(mode, name)
        if not stat.S_ISREG(mode):
            return PipeSource(fd, name)
        # Half read by somebody else: what is left can be read like a pipe.
        return FileSource(fd, name) if os.lseek(fd, 0, os.SEEK_CUR) == 0 else PipeSource(fd, name)
    except BaseException:
        os.close(fd)
        raise


def require_file(mode: int, name: str) -> None:
    """ImageError for whatever is no regular file."""
    if not stat.S_ISREG(mode):
        raise ImageError(f"{name}: no file, and an image builds on it", "name the file: --parent PATH")


def require_readable_kind(mode: int, name: str) -> None:
    """ImageError for whatever is neither a file nor a pipe."""
    for test, kind in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISCHR, "a terminal or another device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            remedy = "give the file or the pipe that an image comes from"
            if test is stat.S_ISDIR:
                remedy = "give one of the images in it: crtool ls lists them"
            raise ImageError(f"{name}: {kind}, and no image", remedy)
