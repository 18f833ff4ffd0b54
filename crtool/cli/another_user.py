"""What ``crtool restart --user`` does before the restart: it opens the image, and becomes that user for good."""

from __future__ import annotations

import os
import pkgutil
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

import crtool
from crtool.cli.ending import warn
from crtool.engine.store import first_whole, images_in
from crtool.image.source import source_from_path
from crtool.image.trouble import is_url
from crtool.kernel.become import become
from crtool.kernel.process import raise_file_limit

if TYPE_CHECKING:
    from crtool.engine.news import Watch
    from crtool.image.keys import Keys

__all__ = ["open_and_become"]

# What is imported when it is first used.
_LATE = (
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "logging",
    "mmap",
    "psutil",
    "random",
    "secrets",
    "shutil",
    "tempfile",
)
# Likewise, of the packages that decompress, if they are here.
_OF_COMPRESSION = ("lz4.block", "zstandard")
# Of the package that decrypts, likewise.
_OF_KEYS = (
    "cryptography.exceptions",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.serialization",
)
_SEPARATE = "crtool.cli", "crtool.__main__", "crtool.image.remote"  # nothing below needs them, or they need more


def open_and_become(
    name: str, source: str | int, keys: Keys | None = None, progress: Watch | None = None
) -> str | int:
    """Opens the image, unless it is a URL, with the rights that crtool still has, and becomes user *name*.

    Of a folder all images are opened. Which of them is the newest that is whole is seen with that user's rights, and
    none of the others is open when he can look at what crtool has open. A passphrase that may be wanted from *keys* is
    asked for before that: its file, or the terminal, may be the caller's only. Raises NotFound, ImageError, UsageError
    and TargetError.
    """
    found: list[int] = []
    folder = source if isinstance(source, str) and os.path.isdir(source) else None
    if folder is not None:
        raise_file_limit()
        found = [source_from_path(path).fd for path in images_in(folder)]
    elif isinstance(source, str) and not is_url(source):
        source = source_from_path(source).fd
    _import_everything()
    if keys is not None:
        for module in _OF_KEYS:
            import_module(module)
        if keys.passphrase is not None:
            keys.passphrase()  # it is remembered

    def choose() -> None:
        nonlocal source
        if folder is not None:
            source = found[0] if len(found) == 1 else first_whole(folder, found, warn, progress, keys)
            for other in found:
                if other != source:
                    os.close(other)

    become(name, choose)
    return source


def _import_everything() -> None:
    """crtool may be installed where the other user may not read."""
    for name in _LATE:
        import_module(name)
    for name in _OF_COMPRESSION:
        with suppress(ImportError):
            import_module(name)
    for found in pkgutil.walk_packages(crtool.__path__, "crtool."):
        if not found.name.startswith(_SEPARATE):
            import_module(found.name)
