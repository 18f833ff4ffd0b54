"""News of how far long work is, from those who count bytes to those who watch."""

from __future__ import annotations

from collections.abc import Callable

from crtool.engine.results import Progress

__all__ = ["Watch", "of_stage"]

Watch = Callable[[Progress], None]


def of_stage(watch: Watch | None, stage: str) -> Callable[[int, int], None] | None:
    """What takes the bytes done and in all, and tells *watch* of them as those of *stage*; None if nobody watches."""
    if watch is None:
        return None
    return lambda done, total: watch(Progress(stage, done, total))
