"""Making one image of a chain: an image that needs no other."""

from __future__ import annotations

import os
from collections.abc import Sequence

from crtool.engine.news import Watch, of_stage
from crtool.engine.references import read_snapshot
from crtool.engine.results import Progress, SquashResult
from crtool.errors import UsageError
from crtool.image.compression import choose
from crtool.image.keys import Keys, Lock
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter

__all__ = ["squash"]


def squash(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    compress: str = "none",
    parents: Sequence[str | os.PathLike[str]] = (),
    lock: Lock | None = None,
    keys: Keys | None = None,
    progress: Watch | None = None,
) -> SquashResult:
    """Writes *output*, an image of the same as *image*, with everything that this refers to in it.

    *parents*: files and folders in which its parents are looked for first. *compress*: as of a checkpoint. An existing
    file is refused without *force*; it may be *image* itself, which is replaced when the new one is whole. *keys*
    decrypt the images, *lock* is for the new one; of an encrypted image no plain one is made.

    All images are verified first. Raises NotFound, ImageError, UsageError (a pipe), EnvironmentDiffers (no room).
    """
    with ImageReader.open(image, parents, keys) as reader:
        if reader.is_stream:
            raise UsageError(f"{image}: a pipe cannot be squashed", "save the image to a file first")
        reader.require_packages()
        read_snapshot(reader)
        if reader.is_encrypted and (lock is None or not lock.encrypts):
            what = f"{image}: the image is encrypted, and what is made of it would not be"
            raise UsageError(what, "give --encrypt-to FILE, or the passphrase; age -d makes a plain image")
        with ImageWriter.create(output, force=force, compressor=choose(compress), lock=lock) as writer:
            reader.verify(of_stage(progress, "verifying"))
            writer.begin(
                cpu=reader.info.cpu,
                page_size=reader.info.page_size,
                records=reader.records,
                data_length=reader.length,
            )
            done = 0
            while done < reader.length:
                view = writer.buffer()[: reader.length - done]
                reader.read_at(done, view)
                writer.submit(len(view))
                done += len(view)
                if progress is not None:
                    progress(Progress("writing", done, reader.length))
            return SquashResult(os.fspath(output), writer.finish(), 1 + len(reader.origins))
