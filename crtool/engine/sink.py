"""Where the data of an image goes while it is written, with somebody watching."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crtool.image.writer import ImageWriter

if TYPE_CHECKING:
    from crtool.image.splicer import Load, Splicer

__all__ = ["ImageSink"]


class ImageSink:
    """The image; *watch* is told of every step, and may raise. *soon_read*: it is going to be read before long."""

    def __init__(self, image: ImageWriter, watch: Callable[[int], None], *, soon_read: bool) -> None:
        self._image = image
        self._watch = watch
        self._soon_read = soon_read

    def buffer(self) -> memoryview:
        """Memory for the next bytes."""
        return self._image.buffer()

    def submit(self, nbytes: int) -> None:
        """So many of them are there."""
        self._watch(nbytes)
        self._image.submit(nbytes)

    @property
    def direct(self) -> int:
        """The descriptor of a file into which others may write, −1 if there is none."""
        return self._image.direct

    @property
    def position(self) -> int:
        """Where in that file the next byte belongs."""
        return self._image.position

    @property
    def length(self) -> int:
        """How long the file will be."""
        return self._image.length

    def written(self, nbytes: int) -> None:
        """Others have written so many bytes."""
        self._watch(nbytes)
        self._image.written(nbytes)

    def splicer(self) -> Splicer | None:
        """A way past the page cache, if there is one, and nobody will want to find the image there."""
        return None if self._soon_read else self._image.splicer()

    def take(self, load: Load) -> None:
        """So much is in its pipes."""
        self._watch(load.length)
        self._image.take(load)
