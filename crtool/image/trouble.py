"""What is wrong with an image, or with the place where one is to be, in one line and one remedy."""

from __future__ import annotations

import errno
import os
import re

from crtool.errors import CrtoolError, EnvironmentDiffers, ImageError, NotFound, TargetError
from crtool.used_up import used_up

__all__ = ["ANOTHER_COPY", "Path", "cannot_read", "cannot_write", "damaged", "is_url", "shown"]

Path = bytes | str | os.PathLike[bytes] | os.PathLike[str]

# What write(2), open(2), link(2) and fsync(2) say about the place, and what a user can do about it.
PLACE = {
    errno.ENOSPC: ("no space is left there", "make room, or choose another folder with -o"),
    errno.EDQUOT: ("the disk quota there is used up", "make room, or choose another folder with -o"),
    errno.EFBIG: ("the file would be larger than allowed", "raise the limit (ulimit -f), or choose another folder"),
    errno.EROFS: ("that file system is read-only", "choose another folder with -o"),
    errno.EACCES: ("no permission to write there", "choose another folder with -o"),
    errno.EPERM: ("no permission to write there", "choose another folder with -o"),
    errno.ENOENT: ("that folder does not exist", "make the folder, or choose another one with -o"),
    errno.ENOTDIR: ("a part of the path is no folder", "choose another folder with -o"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name with -o"),
    errno.EIO: ("the device there reports an input/output error", "see the kernel's log, or choose another disk"),
    errno.EPIPE: ("the reader of the pipe has ended", "see what the receiving command said"),
}

ANOTHER_COPY = "use another copy of it; nothing in a damaged image can be trusted"


# s3://…, and with fsspec's chains simplecache::s3://…
_URL = re.compile(r"(?:[A-Za-z][\w+.-]*::)*[A-Za-z][\w+.-]+://")


def is_url(path: Path) -> bool:
    """Whether *path* is a URL, and no path of a file."""
    return _URL.match(os.fsdecode(path)) is not None


def shown(path: Path) -> str:
    """A path for a message: one line of printable characters, whatever its bytes are."""
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) for c in text)


def damaged(name: str, section: str, detail: str) -> ImageError:
    """The image *name* is not as it was written: *section* is "header", "records", "data, bytes A–B" or "trailer"."""
    return ImageError(f"{name}: the image is damaged: {section}: {detail}", ANOTHER_COPY)


def cannot_write(name: str, error: OSError) -> CrtoolError:
    """The new file *name* cannot be written, for a reason that lies in the place where it was to be, or in the machine.
    """
    if (lack := used_up(OSError(error.errno, "", name))) is not None:
        return lack
    cause, remedy = PLACE.get(error.errno or 0, (error.strerror or str(error), "choose another folder with -o"))
    return EnvironmentDiffers(f"{name}: cannot be written: {cause}", remedy)


def cannot_read(name: str, error: OSError) -> CrtoolError:
    """The image *name* cannot be opened or read."""
    if (lack := used_up(OSError(error.errno, "", name))) is not None:
        return lack
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"{name or 'an empty name'}: no such image", "see the name; crtool ls lists those of a folder")
    if error.errno in (errno.EACCES, errno.EPERM):
        return TargetError(f"{name}: no permission to read the image", "ask its owner; images are private (mode 0600)")
    return ImageError(f"{name}: the image cannot be read: {error.strerror}", "use another copy of it")
