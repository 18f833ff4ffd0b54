"""Copying what is in files without names from the files to the image, or to the spool."""

from __future__ import annotations

import os

from crtool.arch import cpu
from crtool.resources.files.inodes import ContentRecord, reopen
from crtool.resources.memory.pages import PageSink

__all__ = ["content_length", "copy_content"]


def copy_content(fd: int, content: ContentRecord, sink: PageSink) -> None:
    """Copies the parts of a file that are not holes; each begins at a page of the image."""
    source = reopen(fd, os.O_RDONLY)
    try:
        for offset, length in content.extents:
            left = -(-length // cpu.PAGE_SIZE) * cpu.PAGE_SIZE
            while left:
                view = sink.buffer()[:left]
                got = os.preadv(source, [view], offset)
                if got < len(view):  # behind the end of the file
                    view[got:] = bytes(len(view) - got)
                sink.submit(len(view))
                offset, left = offset + len(view), left - len(view)
    finally:
        os.close(source)


def content_length(content: ContentRecord) -> int:
    """Bytes that :func:`copy_content` copies."""
    return sum(-(-length // cpu.PAGE_SIZE) * cpu.PAGE_SIZE for _, length in content.extents)
