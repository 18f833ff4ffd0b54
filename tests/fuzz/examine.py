"""What is demanded of every input: status 123 or a sane answer; no crash, no hang, little memory, nobody born.

Three layers are examined, each by itself, since most of what is wrong with one would never come to the next: the
container (header, sections, frames, trailer), the codec with the schema, and what the verbs make of records.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from crtool.cli.text import printable
from crtool.engine.diff import diff
from crtool.engine.dry_run import dry_run
from crtool.engine.show import show
from crtool.engine.verify import verify
from crtool.errors import EnvironmentDiffers, ImageError, TargetError
from crtool.image import codec
from crtool.image.keys import Keys
from crtool.image.reader import ImageReader
from crtool.kernel.prctl import is_child_subreaper
from crtool.procfs import tasks

__all__ = ["STORIES", "Limits", "container", "records", "snapshot"]

_PR_SET_CHILD_SUBREAPER = 36
_WALL = 0x40000000  # __WALL of waitpid(2): children of any kind
PATIENCE = 10.0  # seconds of CPU time for one input
# Bytes of address space beyond what is taken anyway: the C library reserves 64 MiB for a thread.
ROOM = 320 << 20
_PIPE = 1 << 20
_STATUSES = {ImageError: 123, EnvironmentDiffers: 126, TargetError: 121}


class Limits:
    """While the block lasts, this process gets little more memory than it has, and :meth:`input` guards each input."""

    def __enter__(self) -> Limits:
        self._old = resource.getrlimit(resource.RLIMIT_AS)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, self._old[1]))
        self._handler = signal.signal(signal.SIGPROF, _too_long)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._handler)
        resource.setrlimit(resource.RLIMIT_AS, self._old)

    @contextmanager
    def input(self) -> Iterator[None]:
        """One input: raises TooLong, and AssertionError if there is one child more at the end.

        Who was there before is of no interest, nor whose parent ends meanwhile: tests make this process adopt orphans.
        """
        with _adopting_nobody():
            before = _children()
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            yield
            if born := _children() - before:
                raise AssertionError(f"somebody was born: {sorted(born)}")


class TooLong(BaseException):
    """One input has kept crtool busy."""


@contextmanager
def _adopting_nobody() -> Iterator[None]:
    before = is_child_subreaper()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(before), 0, 0, 0)


def _children() -> set[int]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:  # the usual case, and a quick one
        return set()
    me = os.getpid()
    return {child for tid in tasks.threads(me) for child in tasks.children(me, tid) or ()}


def _too_long(number: int, frame: object) -> None:
    raise TooLong(f"more than {PATIENCE:g} s")


def container(image: bytes, keys: Keys | None = None) -> str:
    """What the reader says of *image*, "" for fine: read as a file, every byte, then by position, then as a pipe."""
    with _file(image) as path:
        said = _answer(partial(_read, keys=keys), path)
    if len(image) <= _PIPE:
        with _pipe(image) as fd:
            piped = _answer(partial(_stream, keys=keys), fd)
        assert (not said) == (not piped), (said, piped)
    return said


def _read(path: str, keys: Keys | None) -> None:
    with ImageReader.open(path, keys=keys) as reader:
        reader.verify()
        for length, read in ((reader.info.data_length, reader.read_stored_at), (reader.length, reader.read_at)):
            view = memoryview(bytearray(min(length, 100_000)))
            read(length - len(view), view)
        for size, image, at in reader.places(0, length):
            assert size or not length
            assert 0 <= at <= at + size <= image.info.data_length


def _stream(fd: int, keys: Keys | None) -> None:
    with ImageReader.open(fd, keys=keys) as reader:
        reader.verify_ancestors()
        reader.finish()


def records(data: bytes, kind: type) -> str:
    """What the codec says of *data* as a record of *kind*."""
    return _answer(partial(codec.unpack, kind=kind), data)


def _show(path: str) -> None:
    list(show(path).tree())


def _same(path: str) -> None:
    diff(path, path)


STORIES: tuple[Callable[[str], object], ...] = (_show, partial(dry_run, pidns=True), _same)


def snapshot(image: bytes, stories: tuple[Callable[[str], object], ...] = STORIES) -> str:
    """What the verbs say of an image; *stories* are asked only if its records go together."""
    with _file(image) as path:
        said = _answer(verify, path)
        for story in stories if not said else ():
            said = said or _answer(story, path)
    return said


def _answer(story: Callable[[Any], object], source: Any) -> str:
    """The message, which must be one of a few kinds, in one line; "" for none."""
    try:
        story(source)
    except (ImageError, EnvironmentDiffers, TargetError) as error:
        # 126: the image is sane, but not for this machine. 121: it is encrypted for somebody else.
        assert error.status == (
            123 if isinstance(error, ImageError) else 121 if isinstance(error, TargetError) else 126
        )
        assert error.message
        assert "\n" not in printable(error.message)
        assert len(error.message) < 12000, error.message[:300]
        return error.message
    return ""


@contextmanager
def _file(image: bytes) -> Iterator[str]:
    fd = os.memfd_create("image")
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, image)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


@contextmanager
def _pipe(image: bytes) -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE)
        os.set_blocking(writing, False)
        assert os.write(writing, image) == len(image)
    finally:
        os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)
