"""Whose word an image is: whoever can write it decides what is executed, as whom, with which files open."""

from __future__ import annotations

import os
import stat

from crtool.errors import ImageError

__all__ = ["judge_trust"]


def judge_trust(fd: int, name: str) -> None:
    """Raises ImageError if the image that *fd* has open belongs to somebody else than the caller or root, or may be
    written by others.

    So may a pipe that has a name (fifo(7)), into which whoever may write it puts what he wants. One without a name, and
    a socket, is the word of whoever made it, that is the caller.
    """
    status = os.fstat(fd)
    if stat.S_ISSOCK(status.st_mode) or _is_anonymous_pipe(status):
        return
    if status.st_uid not in (0, os.geteuid()):
        raise ImageError(f"{name}: belongs to user {status.st_uid}, who decides what it does", _remedy("chown"))
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ImageError(f"{name}: may be written by others, who decide what it does", _remedy("chmod go-w"))


def _is_anonymous_pipe(status: os.stat_result) -> bool:
    """All of those are in one file system of the kernel's, pipefs, and in that is nothing else."""
    if not stat.S_ISFIFO(status.st_mode):
        return False
    ends = os.pipe()
    try:
        return status.st_dev == os.fstat(ends[0]).st_dev
    finally:
        for end in ends:
            os.close(end)


def _remedy(command: str) -> str:
    return f"if you trust them all the same, use --trust; or {command} it, once you know what it is"
