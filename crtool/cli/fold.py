"""Lines for a narrow terminal. What goes to a pipe or a file stays one line, whatever its length."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterator

__all__ = ["columns_of_terminal", "fold"]

_ROOM = 24  # columns that the last field has to have beside the others; otherwise it goes below them
_BELOW = 4  # columns by which it is indented there
_LEAST = 8  # columns in which something is written at all
_GOOD = " /,"  # characters behind which a line is broken


def columns_of_terminal() -> int:
    """How wide standard output is; 0 if it is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return 0
    return shutil.get_terminal_size().columns  # which heeds COLUMNS


def fold(head: str, tail: str, width: int) -> Iterator[str]:
    """The line *head* + *tail*, in lines of at most *width* columns; 0: in one line.

    *head*: all fields of a table but the last, and the space behind them. What of *tail* has no room beside it goes on
    below its own beginning.
    """
    line = (head + tail).rstrip()
    if not width or _columns(line) <= width:
        yield line
        return
    text = tail.strip()
    lead = min(len(tail) - len(tail.lstrip()), max(width - _ROOM, 0) // 2)  # it may be a tree, and deep
    hang = _columns(head) + lead
    if width - hang >= _ROOM:
        before = head + " " * lead
    else:
        hang, before = min(_BELOW + lead, max(width - _LEAST, 0)), ""
        yield head.rstrip()
    for part in _parts(text, max(width - hang, _LEAST)):
        yield (before or " " * hang) + part
        before = ""


def _parts(text: str, room: int) -> Iterator[str]:
    """Pieces of *text* of at most *room* columns, broken where it looks well if there is such a place."""
    while _columns(text) > room:
        end = used = 0
        while used + (more := _columns(text[end])) <= room:
            used, end = used + more, end + 1
        good = max(text.rfind(mark, 0, end) + 1 for mark in _GOOD)
        if text[end] == " ":
            good = end
        cut = good if good > end // 2 else max(end, 1)
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    if text:
        yield text


def _columns(text: str) -> int:
    """How many columns a terminal takes for it."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
