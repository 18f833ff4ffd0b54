"""Where a new image goes, and on which one it builds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import chain, count
from typing import TYPE_CHECKING

from crtool.engine.results import Progress
from crtool.image.compression import Compressor
from crtool.image.trouble import is_url
from crtool.image.writer import ImageWriter
from crtool.tree.walk import name_of

if TYPE_CHECKING:
    from crtool.engine.parent import Parent
    from crtool.image.keys import Lock

__all__ = ["beside", "default_name", "open_parent", "writer_to"]


def writer_to(
    output: str | os.PathLike[str] | int | ImageWriter,
    *,
    force: bool,
    compressor: Compressor | None,
    lock: Lock | None,
) -> ImageWriter:
    """What writes an image to *output*: a path, a URL, a descriptor, or a writer that is there already."""
    if isinstance(output, ImageWriter):
        return output
    if isinstance(output, int):
        return ImageWriter.to_descriptor(output, compressor=compressor, lock=lock)
    return ImageWriter.create(output, force=force, compressor=compressor, lock=lock)


def open_parent(
    path: str | os.PathLike[str], lock: Lock | None, progress: Callable[[Progress], None] | None
) -> Parent:
    """The image on which the new one builds, verified, and decrypted by what *lock* has for that."""
    from crtool.engine.parent import Parent  # noqa: PLC0415 - seldom needed

    return Parent(path, progress, None if lock is None else lock.keys)


def beside(output: str | os.PathLike[str] | int | ImageWriter, lock: Lock | None) -> str | os.PathLike[str] | None:
    """The path of the image, beside which there is room for other files; None if it has none here, or if what is in
    them is to be seen by nobody.
    """
    if lock is not None and lock.encrypts:
        return None
    return None if isinstance(output, int | ImageWriter) or is_url(output) else output


def default_name(pid: int) -> str:
    """Of an image of process *pid*: program, PID and time; and a number, if there is one of this second already."""
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in name_of(pid))
    stem = f"{name}-{pid}-{time.strftime('%Y%m%dT%H%M%S')}"
    names = (f"{stem}{number}.crt" for number in chain(("",), (f"-{again}" for again in count(2))))
    return next(name for name in names if not os.path.lexists(name))
