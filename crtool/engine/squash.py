"""Making one image of a chain: an image that needs no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from crtool.engine.news import Watch, of_stage
from crtool.engine.output import writer_to
from crtool.engine.references import read_snapshot
from crtool.engine.results import Progress, SquashResult
from crtool.errors import UsageError
from crtool.image.compression import choose
from crtool.image.keys import Keys, Lock
from crtool.image.reader import ImageReader
from crtool.kernel.interruption import nothing
from crtool.record import replace

__all__ = ["squash"]


def squash(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str] | int,
    *,
    force: bool = False,
    compress: str = "none",
    parents: Sequence[str | os.PathLike[str]] = (),
    lock: Lock | None = None,
    keys: Keys | None = None,
    progress: Watch | None = None,
    done: Callable[[], None] = nothing,
) -> SquashResult:
    """Writes *output*, an image of the same as *image*, with everything that this refers to in it.

    *output*: a path, a URL, or a descriptor. *parents*: files and folders in which its parents are looked for first.
    *compress*: as of a checkpoint. An existing file is refused without *force*; it may be *image* itself, which is
    replaced when the new one is whole, but not one of its parents, on which others may build. *keys* decrypt the
    images, *lock* is for the new one; of an encrypted image no plain one is made. One passphrase in both may be for the
    new one alone. *done* is called when the new one is safe.

    All images are verified first. Raises NotFound, ImageError, UsageError (a pipe), EnvironmentDiffers (no room).
    """
    if keys is not None and lock is not None and lock.passphrase is not None:
        keys = replace(keys, plain_too=True)
    compressor = choose(compress)
    with ImageReader.open(image, parents, keys) as reader:
        if reader.is_stream:
            raise UsageError(f"{image}: a pipe cannot be squashed", "save the image to a file first")
        reader.require_packages()
        read_snapshot(reader)
        if reader.is_encrypted and (lock is None or not lock.encrypts):
            what = f"{image}: the image is encrypted, and what is made of it would not be"
            raise UsageError(what, "give --encrypt-to FILE, or the passphrase; age -d makes a plain image")
        _require_apart(output, reader)
        warnings = tuple(_warnings(reader, lock))
        with writer_to(output, force=force, compressor=compressor, lock=lock) as writer:
            reader.verify(of_stage(progress, "verifying"))
            writer.begin(
                cpu=reader.info.cpu,
                page_size=reader.info.page_size,
                records=reader.records,
                data_length=reader.length,
            )
            at = 0
            while at < reader.length:
                view = writer.buffer()[: reader.length - at]
                reader.read_at(at, view)
                writer.submit(len(view))
                at += len(view)
                if progress is not None:
                    progress(Progress("writing", at, reader.length))
            where = None if isinstance(output, int) else os.fspath(output)
            return SquashResult(where, writer.finish(done=done), 1 + len(reader.origins), warnings)


def _require_apart(output: str | os.PathLike[str] | int, reader: ImageReader) -> None:
    """UsageError if *output* is an image on which that of *reader* builds, which is not to be lost."""
    if isinstance(output, int) or not os.path.exists(output):
        return
    for parent in reader.ancestors():
        if os.path.samestat(os.stat(output), os.fstat(parent.fileno())):
            raise UsageError(
                f"{os.fspath(output)}: {reader.name} builds on it, and would be lost with it",
                "give another name with -o",
            )


def _warnings(reader: ImageReader, lock: Lock | None) -> Iterator[str]:
    """What of the image is not in the new one, or the other way round."""
    if reader.signer and (lock is None or lock.signer is None):
        yield f"{reader.name} is signed by {reader.signer}, and what is made of it is not: --sign FILE signs it"
    if lock is not None and lock.encrypts and not reader.is_encrypted:
        yield f"{reader.name} is not encrypted: anybody who may write there can have made it"
