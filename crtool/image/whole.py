"""Images for who reads them by position, wherever they are."""

from __future__ import annotations

from crtool.image.keys import Keys
from crtool.image.reader import ImageReader
from crtool.image.trouble import Path, is_url
from crtool.image.verify import Progress

__all__ = ["open_whole"]


def open_whole(path: Path, progress: Progress | None = None, keys: Keys | None = None) -> ImageReader:
    """As ImageReader.open; but what a URL names is copied first, to a file without a name.

    *progress*: called with the bytes that have come and all. EnvironmentDiffers if there is no room for the copy.
    """
    if not is_url(path):
        return ImageReader.open(path, keys=keys)
    from crtool.image.remote import local_copy  # noqa: PLC0415 - seldom needed

    return ImageReader(local_copy(path, progress), keys=keys)
