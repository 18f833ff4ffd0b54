"""The other images that hold bytes of an image: found by their names, known by their root hashes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from crtool.errors import ImageError, NotFound, ParentMissing
from crtool.image.datamap import Origin
from crtool.image.trouble import ANOTHER_COPY, Path, shown

if TYPE_CHECKING:
    from crtool.image.reader import ImageReader

__all__ = ["Chain"]

_REMEDY = "put it back beside the image, or tell restart, verify or squash where it is: --parent PATH"


class Chain:
    """The origins of one image, opened when they are first needed."""

    def __init__(
        self,
        name: str,
        folder: bytes,
        origins: Sequence[Origin],
        reach: Sequence[int],
        parents: Sequence[Path],
        open_image: Callable[[Path], ImageReader],
    ) -> None:
        """*name*: of the image; *folder*: where it is, empty if that is not known; *reach*: by the numbers of the
        origins, how many bytes each has to store.

        *parents*: files, and folders with files, in which an origin is looked for first. *open_image* opens nothing
        but files: which ones, the image says.
        """
        self.origins = origins
        self._name = name
        self._folder = folder
        self._reach = reach
        self._parents = [os.fsencode(parent) for parent in parents]
        self._open_image = open_image
        self._images: dict[int, ImageReader] = {}

    def image(self, number: int) -> ImageReader:
        """Origin *number*, counted from 1. ParentMissing if it cannot be found, or another image is in its place."""
        if number not in self._images:
            image = self._found(self.origins[number - 1])
            if image.info.data_length < self._reach[number]:
                image.close()
                what = f"the map of the image is wrong: it wants more of {shown(image.name)} than that one stores"
                raise ImageError(f"{self._name}: {what}", ANOTHER_COPY)
            self._images[number] = image
        return self._images[number]

    def images(self) -> list[ImageReader]:
        """All of them."""
        return [self.image(number) for number in range(1, len(self.origins) + 1)]

    def close(self) -> None:
        """Closes what is open."""
        for image in self._images.values():
            image.close()
        self._images.clear()

    def _found(self, origin: Origin) -> ImageReader:
        trouble: ParentMissing | None = None
        for path in self._places(origin):
            try:
                image = self._open_image(path)
            except NotFound:
                continue
            except ImageError as error:
                trouble = trouble or ParentMissing(error.message, error.remedy)
                continue
            if image.root == origin.root and not image.is_stream:
                return image
            image.close()
            trouble = ParentMissing(
                f"{self._name}: its parent {shown(path)} has been replaced by another image, or has changed", _REMEDY
            )
        raise trouble or ParentMissing(f"{self._name}: its parent {shown(origin.path)} is gone", _REMEDY)

    def _places(self, origin: Origin) -> Iterator[bytes]:
        """Where it may be: where the caller says, beside the image, and where it was."""
        name = os.path.basename(origin.path)
        for parent in self._parents:
            yield os.path.join(parent, name) if os.path.isdir(parent) else parent
        if self._folder:
            yield os.path.join(self._folder, name)
        yield origin.path
