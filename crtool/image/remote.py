"""Images in object stores and behind other URLs, by fsspec: s3://bucket/key, gs://, abfs://, sftp://, memory://…

An upload is streamed in parts while the image is made, and appears under its name when it is whole, as the last step:
a multipart upload that is completed, or a temporary name that is changed, whatever the store has for that. If crtool
fails the parts are deleted. If it is killed they stay, invisible; a lifecycle rule of the bucket removes such parts.
A download goes through a pipe, and is read like one; or, where every part of the image may be needed, to a file.

The only user of fsspec, which is imported when a URL is given.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from crtool.errors import CrtoolError, EnvironmentDiffers, ImageError, InternalError, NotFound, TargetError, UsageError
from crtool.image.source import PIPE_SIZE, FileSource, PipeSource
from crtool.image.trouble import Path, shown
from crtool.kernel.interruption import nothing, start, whole

if TYPE_CHECKING:
    from crtool.image.place import Place
    from crtool.image.verify import Progress

__all__ = ["RemoteFile", "RemoteSource", "local_copy"]

# S3 takes at most 10,000 parts: images of up to 312 GiB. One part is kept in memory, and one is under way.
PART = 32 << 20
# Each is one request.
READ = 8 << 20
# Stores whose files have a name only when it is asked for; with others a temporary name is changed.
_NAMELESS = frozenset(("s3", "s3a", "gs", "gcs"))
_LOCAL = frozenset(("file", "local"))
# Stores whose first part of a path is a bucket, which somebody has to have made.
_WITH_BUCKETS = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"))
_NOT_INSTALLED = "pip install 'crtool[remote]'"
# Names of exceptions of botocore, aiohttp and others, which need not be installed.
_UNREACHABLE = re.compile(r"Endpoint|Connect|Timeout|gaierror|NoValidConnections")
_FORBIDDEN = re.compile(r"Credential|Forbidden|Authenti|AccessDenied|Permission")


class RemoteFile:
    """A new object at *url*. Without *force* a name that exists is refused, now and by :meth:`commit`."""

    direct = -1  # nobody else can write

    def __init__(self, url: Path, *, force: bool) -> None:
        self.name = _shown(url)
        self._force = force
        self._file: Any = None
        with _told(self.name, writing=True):
            self._store, self._path = _found(url, self.name)
            if self._path.endswith("/") or not self._path:
                raise UsageError(f"{self.name}: an image needs a name", "add a name behind the last slash")
            kind = self._store.protocol
            kinds = {kind} if isinstance(kind, str) else set(kind)
            if kinds & _LOCAL:  # they would have mode 0644, and be whole before they are checked
                raise UsageError(f"{self.name}: is a file of this machine", "give its path, without file://")
            bucket, _, key = self._path.lstrip("/").partition("/")
            if kinds & _WITH_BUCKETS:
                if not key:
                    raise UsageError(f"{self.name}: an image needs a name in the bucket", f"{self.name}/NAME.crt")
                self._store.ls(bucket) if not self._store.exists(bucket) else None  # says what is wrong
            self._refuse_existing()
            # A store that can refuse an existing name by itself, in the very step that gives the name.
            mode = "xb" if kinds & {"s3", "s3a"} and not force else "wb"
            self._temporary = ""
            if not kinds & _NAMELESS:
                folder, slash, base = self._path.rpartition("/")
                self._temporary = f"{folder}{slash}.{base}.{os.urandom(8).hex()}"
            where = self._temporary or self._path
            self._file = self._store.open(where, mode, block_size=PART, autocommit=bool(self._temporary))

    def _refuse_existing(self) -> None:
        if not self._force and self._store.exists(self._path):
            raise UsageError(f"{self.name}: exists already", "choose another name with -o, or replace it with --force")

    def write(self, view: memoryview | bytes) -> None:
        """Appends all of *view*; when there is enough for a part, that is sent."""
        with _told(self.name, writing=True):
            self._file.write(view)

    def skip(self, nbytes: int) -> None:
        """Nobody else can have written."""
        raise InternalError(f"{self.name}: {nbytes} bytes are missing")

    def read_back(self, view: memoryview, offset: int) -> None:
        """What has been sent is not fetched again."""
        raise InternalError(f"{self.name}: {len(view)} bytes at {offset} cannot be read back")

    def hand_over(self, heed: Callable[[], None]) -> None:
        """The store says by itself what it has, when the name is given."""

    def commit(self, done: Callable[[], None] = nothing) -> None:
        """Sends the last part, then gives the name."""
        try:
            with _told(self.name, writing=True):
                self._file.close()
                self._refuse_existing()
                with whole:
                    if self._temporary:
                        self._store.mv(self._temporary, self._path)
                    else:
                        self._file.commit()
                    self._file = None
                    done()
        finally:
            self.discard()

    def discard(self) -> None:
        """Deletes the parts that were sent."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if self._temporary:
                file.close()
                self._store.rm(self._temporary)
            else:
                file.discard()
                file.closed = True  # or its end would send the last part
        except Exception:  # noqa: BLE001 - the store may be the reason why the image is given up
            pass


class RemoteSource(PipeSource):
    """An object, read through a pipe that a thread fills."""

    def __init__(self, url: Path) -> None:
        self._error: BaseException | None = None
        name = _shown(url)
        with _told(name):
            store, path = _found(url, name)
            file = store.open(path, "rb", block_size=READ, cache_type="none")
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        super().__init__(ours, name)
        start(Thread(target=self._fetch, args=(file, theirs), name="crtool-fetch", daemon=True))

    def _fetch(self, file: Any, fd: int) -> None:
        with suppress(BrokenPipeError), open(fd, "wb", buffering=PIPE_SIZE) as pipe:
            try:
                with file:
                    while data := file.read(READ):
                        pipe.write(data)
            except BrokenPipeError:
                pass  # the rest is not wanted
            except BaseException as error:  # noqa: BLE001 - raised in the thread that reads
                self._error = error  # before the pipe ends, at which it is looked for

    def read_into(self, view: memoryview) -> int:
        """Fills *view* with the next bytes; fewer than it holds only at the end."""
        got = super().read_into(view)
        if got < len(view) and self._error is not None:
            with _told(self.name):
                raise self._error
        return got


def local_copy(url: Path, progress: Progress | None = None) -> FileSource:
    """An object, copied to an unnamed file in the folder for temporary files: every part of it can be read at any time.

    *progress*: called with the bytes that have come and all of them.
    """
    name = _shown(url)
    with _told(name):
        store, path = _found(url, name)
        source = store.open(path, "rb", block_size=READ, cache_type="none")
    with source, tempfile.TemporaryFile() as copy:
        while data := _next(source, name):
            try:
                copy.write(data)
                copy.flush()
            except OSError as error:
                where = f"{tempfile.gettempdir()}: no copy of {name} can be made there: {error.strerror}"
                raise EnvironmentDiffers(where, "make room, or name another folder by TMPDIR") from None
            if progress is not None:
                progress(copy.tell(), source.size)
        return FileSource(os.dup(copy.fileno()), name)


def _next(source: Any, name: str) -> bytes:
    with _told(name):
        return bytes(source.read(READ))


def _shown(url: Path) -> str:
    """A URL for a message, without the name and password of its user."""
    return re.sub(r"://[^/@]*@", "://", shown(url))


def _found(url: Path, name: str) -> tuple[Any, str]:
    """The store, and the path in it."""
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - 60 ms, and an extra
    except ImportError:
        raise EnvironmentDiffers(f"{name}: fsspec, which reaches it, is not installed", _NOT_INSTALLED) from None
    try:
        # What others have made meanwhile is to be seen.
        store, path = url_to_fs(os.fsdecode(url), use_listings_cache=False)
    except ImportError as error:
        raise EnvironmentDiffers(f"{name}: {error}".rstrip("."), _NOT_INSTALLED) from None
    except ValueError as error:
        raise UsageError(f"{name}: {error}", "s3://BUCKET/NAME is one that works; see the manual of fsspec") from None
    return store, path


@contextmanager
def _told(name: str, *, writing: bool = False) -> Iterator[None]:
    """Errors of fsspec, and of the libraries below it, in our words."""
    try:
        yield
    except CrtoolError:
        raise
    except Exception as error:
        raise _trouble(name, error, writing=writing) from error


def _trouble(name: str, error: Exception, *, writing: bool) -> CrtoolError:
    why = " ".join(str(error).split()) or type(error).__name__
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    if isinstance(error, FileExistsError):
        return UsageError(f"{name}: exists already", "choose another name with -o, or replace it with --force")
    if isinstance(error, FileNotFoundError):
        if writing:
            return EnvironmentDiffers(f"{name}: no such bucket or folder: {why}", "make it first, or see its name")
        return NotFound(f"{name}: no such image", "see its name and that of the bucket")
    if _FORBIDDEN.search(kinds):
        remedy = "see the credentials, and the rights of the bucket"
        if writing:
            return EnvironmentDiffers(f"{name}: no permission to write there: {why}", remedy)
        return TargetError(f"{name}: no permission to read there: {why}", remedy)
    if _UNREACHABLE.search(kinds):
        return EnvironmentDiffers(f"{name}: cannot be reached: {why}", "see the address, the network, and the proxy")
    if writing:
        return EnvironmentDiffers(f"{name}: cannot be written: {why}", "see the store, or choose another one")
    return ImageError(f"{name}: the image cannot be read: {why}", "use another copy of it")


if TYPE_CHECKING:
    _: type[Place] = RemoteFile
