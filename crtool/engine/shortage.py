"""When memory gets short while twins are written: the tree stands still until they are.

Every page to which the tree writes while its twin lives takes one page more. Whether there is room for all of them is
asked before the fork, but others may take it meanwhile, and a limit of a control group may be lowered. Before the
kernel has to kill somebody, the tree is frozen once more: who stands still writes nothing. That is the frozen copy
after all, only later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack

from crtool.engine.freeze import Frozen
from crtool.engine.room import room_left
from crtool.errors import CrtoolError

__all__ = ["Shortage"]

_PAUSE = 0.02  # seconds between two looks, each of which takes a hundredth of that
_RESERVE = 64 << 20  # bytes that may be taken between two looks


class Shortage:
    """Looks after memory for the block, at whose end a tree that has been stopped goes on."""

    def __init__(
        self, root: int, descendants: Callable[[int], list[int]], twins: Collection[int], memory: int
    ) -> None:
        """*twins*: those of the tree of *root* that live, and are among its *descendants*; *memory*: bytes it has."""
        self.seconds = 0.0  # for which the tree has stood still because of it
        self._root = root
        self._descendants = descendants
        self._twins = twins
        # The more there is, the longer it takes to look at all of it before the first byte is copied.
        self._enough = min(memory, _RESERVE + memory // 16)
        self._next = 0.0 if twins else math.inf  # time.monotonic() of the next look
        self._frozen: Frozen | None = None
        self._until_written = ExitStack()

    def __enter__(self) -> Shortage:
        return self

    def __exit__(self, *exc: object) -> None:
        self._until_written.close()
        if self._frozen is not None:
            self.seconds = self._frozen.seconds

    def look(self) -> None:
        """To be called again and again: stops the tree if memory is short now."""
        if time.monotonic() < self._next:
            return
        try:
            if room_left(self._root) >= self._enough:
                self._next = time.monotonic() + _PAUSE
                return
            self._next = math.inf
            self._frozen = self._until_written.enter_context(Frozen(self._root, self._others, None, {}))
        except (CrtoolError, OSError):
            self._next = math.inf  # it has ended, or cannot be stopped just now: then only haste helps

    def _others(self, root: int) -> list[int]:
        return [pid for pid in self._descendants(root) if pid not in self._twins]
