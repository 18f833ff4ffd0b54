"""Whether an image is whole and unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.engine.results import Progress, VerifyResult
from crtool.engine.snapshot import Snapshot
from crtool.image import codec
from crtool.image.reader import ImageReader

__all__ = ["verify"]

_SECTIONS = ("header", "records", "data", "trailer")


def verify(
    image: str | os.PathLike[str] | int, progress: Callable[[Progress], None] | None = None
) -> VerifyResult:
    """Compares every byte of *image* (a path, or a descriptor to read from) with its checksum, and decodes its records.

    Raises NotFound, or ImageError, which names the damaged section.
    """
    reader = ImageReader.from_descriptor(image) if isinstance(image, int) else ImageReader.open(image)
    with reader:
        codec.unpack(reader.records, Snapshot)
        reader.verify(None if progress is None else lambda done, total: progress(Progress("verifying", done, total)))
        return VerifyResult(reader.info.file_length, _SECTIONS)
