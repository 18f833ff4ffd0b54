"""Whether an image is whole and unchanged: asked for, and at a restart."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from crtool.engine.deep import digests
from crtool.engine.news import Watch, of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.results import VerifyResult
from crtool.errors import UsageError
from crtool.image.keys import Keys
from crtool.image.reader import ImageReader

__all__ = ["open_image", "require_file", "verify", "verify_first", "verifying"]

# Bytes of data that are verified before anything is made. More of it is verified while the memory is filled.
_VERIFIED_FIRST = 16 << 20


def verify(
    image: str | os.PathLike[str] | int,
    progress: Watch | None = None,
    keys: Keys | None = None,
    *,
    parents: Sequence[str | os.PathLike[str]] = (),
    deep: bool = False,
) -> VerifyResult:
    """Compares every byte of *image* (a path, or a descriptor to read from) with its checksum, and decodes its records.

    The same is done with the images that it builds on; *parents*: files and folders in which these are looked for
    first. *deep*: the result has a checksum of the memory of each process, which images of the same memory have in
    common. *keys* (:func:`crtool.unlock`) decrypt them, and say whose signature they must have.

    Raises NotFound, TargetError if one cannot be decrypted, ImageError, which names the damaged section, or UsageError
    if the data of a pipe is wanted twice.
    """
    with open_image(image, parents, keys) as reader:
        if deep and reader.is_stream:
            raise UsageError(f"{reader.name}: for --deep a pipe would be read twice", "save the image to a file first")
        snapshot = read_snapshot(reader)
        reader.verify(of_stage(progress, "verifying"))
        sections = ("header", "records", *(("map",) if reader.info.mapped else ()), "data", "trailer")
        ancestors = tuple(each.name for each in reader.ancestors())
        signer = "" if keys is None or keys.verifiers is None else reader.signer
        memory = digests(reader, snapshot) if deep else ()
        return VerifyResult(reader.size, sections, ancestors, reader.is_encrypted, signer, memory)


def open_image(
    image: str | os.PathLike[str] | int, parents: Sequence[str | os.PathLike[str]] = (), keys: Keys | None = None
) -> ImageReader:
    """The image at a path, or that comes from a descriptor."""
    return ImageReader.open(image, parents, keys)


def require_file(reader: ImageReader) -> None:
    """UsageError if what is wanted later would have come by."""
    if reader.is_stream:
        raise UsageError(f"{reader.name}: what comes through a pipe cannot come later", "restart from a file")


def verify_first(reader: ImageReader, progress: Watch | None) -> None:
    """Verifies, before a restart makes anything, what takes no time worth sparing.

    Of a stream these are the other images that hold bytes of it.
    """
    if reader.is_stream:
        reader.verify_ancestors()
    elif _stored(reader) <= _VERIFIED_FIRST:
        reader.verify(of_stage(progress, "verifying"))


@contextmanager
def verifying(reader: ImageReader, progress: Watch | None) -> Iterator[None]:
    """Verifies the data of a large file while the memory is filled from it; ImageError at the end of the block."""
    if reader.is_stream or _stored(reader) <= _VERIFIED_FIRST:
        yield
        return
    with ExitStack() as stack:
        holders = (reader, *reader.ancestors())
        checkings = [stack.enter_context(holder.checking()) for holder in holders]
        for checking in checkings:
            checking.start()
        yield
        for holder, checking in zip(holders, checkings, strict=True):
            holder.require_whole(checking.damaged(of_stage(progress, "verifying")))


def _stored(reader: ImageReader) -> int:
    """Bytes of data of the image, and of those that hold bytes of it."""
    return sum(holder.info.data_length for holder in (reader, *reader.ancestors()))
