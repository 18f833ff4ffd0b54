"""Which memory of a process is as its image's parent has it: both are read, a MiB at a time, and compared.

Reading memory, reading the file and comparing let go of the interpreter lock, so where much has to be compared two
threads do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from threading import Thread

from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers
from crtool.kernel.interruption import nothing
from crtool.kernel.interruption import start as start_thread
from crtool.kernel.memcmp import Pair
from crtool.resources.memory.zeros import Read

__all__ = ["Comparison", "Part", "Verdict", "Work"]

_WINDOW = 1 << 20  # bytes that are compared at once
_PASSED = 3 * _WINDOW  # bytes that are not, where it seems to be in vain
_THREADS = 2  # more want more memory at a time than there is for them
_ROUND = 64  # windows that are shared out: parts of more need not be known at once
_SHARE = 8  # windows that a thread takes: what is packed together is mostly unpacked once

Part = tuple[int, int, int, bool]
"""Address, length, offset in the parent or −1, and whether it may have other bytes there."""

Verdict = tuple[int, int, int]
"""Address, length, and the offset of the same bytes in the parent, or −1."""

Theirs = Callable[[int, memoryview], None]
"""Fills a view from an offset of the parent."""


class Comparison:
    """Of the memory of one process after the other."""

    def __init__(self, theirs: Theirs) -> None:
        """*theirs* is called in any thread."""
        self._theirs = theirs
        self._pairs = [Pair(_WINDOW) for _ in range(min(_THREADS, os.cpu_count() or 1))]
        self._passed = 0  # bytes that are still to be taken to have changed

    def verdicts(
        self, parts: Iterator[Part], read: Read, hurry: Callable[[], None], *, tracked: bool
    ) -> Iterator[Verdict]:
        """Of all *parts*, in order; no verdict reaches over the border of two of them.

        *hurry* is called now and then, in this thread, and may raise. If parts are *tracked*, those that may differ
        were written: where nothing of a window turns out to be the same, the next ones are taken to have changed.
        """
        self._passed = 0
        windows = self._windows(parts)
        while some := list(islice(windows, 1 if tracked else _ROUND)):
            work = Work(some, self._theirs, read)
            work.do(self._pairs, hurry)
            for verdicts in work.found:
                yield from verdicts
            self._passed = _PASSED if tracked and not work.alike else 0

    def _windows(self, parts: Iterator[Part]) -> Iterator[list[Part]]:
        """*parts*, cut, and collected until they fill the buffers: scattered pages are read one by one, but compared
        together, for most of them are all the same, or none is."""
        window: list[Part] = []
        used = 0
        for part in parts:
            start, length, old, differs = part
            done = 0
            if differs and self._passed > 0:
                self._passed -= length
                old, differs = -1, False
            while differs and done < length:
                size = min(length - done, _WINDOW - used)
                window.append((start + done, size, old + done, True))
                used, done = used + size, done + size
                if used == _WINDOW:
                    yield window
                    window, used = [], 0
            if not differs:
                window.append((start, length, old, False))
        if window:
            yield window


class Work:
    """Windows that are compared by several threads, of which each takes some at a time."""

    def __init__(self, windows: list[list[Part]], theirs: Theirs, read: Read) -> None:
        self.found: list[list[Verdict]] = [[] for _ in windows]
        self.alike = False  # whether something of what had to be compared is the same
        self._windows, self._theirs, self._read = windows, theirs, read
        self._shares = iter(range(0, len(windows), _SHARE))
        self._error: BaseException | None = None

    def do(self, pairs: Sequence[Pair], hurry: Callable[[], None]) -> None:
        """Returns when all is done; raises what *hurry* raises, or a thread. If there is no thread to be had, this one
        does it alone.
        """
        helpers = [
            Thread(target=self._help, args=(pair,), name="crtool-compare", daemon=True)
            for pair in pairs[1 : -(-len(self._windows) // _SHARE)]
        ]
        try:
            with suppress(EnvironmentDiffers):
                for helper in helpers:
                    start_thread(helper)
            self._take(pairs[0], hurry)
        finally:
            self._shares = iter(())
            for helper in helpers:
                if helper.ident is not None:
                    helper.join()
        if self._error is not None:
            raise self._error

    def _help(self, pair: Pair) -> None:
        try:
            self._take(pair, nothing)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error

    def _take(self, pair: Pair, hurry: Callable[[], None]) -> None:
        while (first := next(self._shares, None)) is not None:
            for number, window in enumerate(self._windows[first : first + _SHARE], first):
                hurry()
                self.found[number] = self._compared(window, pair)

    def _compared(self, window: Sequence[Part], pair: Pair) -> list[Verdict]:
        whole, used = True, 0
        for start, length, old, differs in window:
            if differs:
                whole = self._loaded(start, length, old, used, pair) and whole
                used += length
        same = whole and pair.is_same(0, used)
        found: list[Verdict] = []
        at = 0
        for start, length, old, differs in window:
            if not differs or same:
                found.append((start, length, old))
                at += length if differs else 0
                continue
            for first, end, is_same in pair.runs(at, length, cpu.PAGE_SIZE):
                found.append((start + first, end - first, old + first if is_same else -1))
                self.alike = self.alike or is_same
            at += length
        self.alike = self.alike or same
        return found

    def _loaded(self, start: int, length: int, old: int, at: int, pair: Pair) -> bool:
        """Reads both sides to *at* of the buffers; whether all has come."""
        ours, theirs = pair.ours[at : at + length], pair.theirs[at : at + length]
        self._theirs(old, theirs)
        done = 0
        while done < length and (got := self._read(start + done, ours[done:])) > 0:
            done += got
        if done == length:
            return True
        for page in range(done // cpu.PAGE_SIZE * cpu.PAGE_SIZE, length, cpu.PAGE_SIZE):
            ours[page] = theirs[page] ^ 1  # whoever writes it will say why it does not come
        return False
