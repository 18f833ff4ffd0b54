"""Whose word an image is: whoever can write it decides what is executed, as whom, with which files open."""

from __future__ import annotations

import os
import stat

from crtool.errors import ImageError

__all__ = ["judge_trust"]


def judge_trust(fd: int, name: str) -> None:
    """Raises ImageError if the image that *fd* has open belongs to somebody else than the caller or root, or may be
    written by others.

    What comes through a pipe has no owner: it is the word of whoever made the pipe, that is the caller.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return
    if status.st_uid not in (0, os.geteuid()):
        raise ImageError(f"{name}: belongs to user {status.st_uid}, who decides what it does", _remedy("chown"))
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ImageError(f"{name}: may be written by others, who decide what it does", _remedy("chmod go-w"))


def _remedy(command: str) -> str:
    return f"if you trust them all the same, use --trust; or {command} it, once you know what it is"
